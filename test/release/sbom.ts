import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Licensed } from "./licences.ts";

/** A bill of materials in CycloneDX's JSON form, as far as it is read here. */
export interface Sbom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly metadata: { readonly component: SbomComponent };
  readonly components: readonly SbomComponent[];
}

export interface SbomComponent {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses?: readonly { readonly license?: { readonly id?: string }; readonly expression?: string }[];
}

/** What the lock file says of a package. */
export interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  /** Only needed to build and test. */
  readonly dev?: boolean;
}

const root = join(import.meta.dirname, "../..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly name: string };
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** The packages that run in production, by their place in node_modules. */
export function productionPackages(): Readonly<Record<string, LockedPackage>> {
  return Object.fromEntries(Object.entries(lock.packages).filter(([place, { dev }]) => place !== "" && dev !== true));
}

/**
 * Of what runs in production, by the lock file alone: nothing needs to be installed, and nothing is fetched. npm's own
 * `--omit dev` leaves out whatever a development dependency needs too, half of it; so npm is shown a project that has
 * none.
 */
export function sbom(): Sbom {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-sbom-"));
  // npm calls the project by its folder.
  const project = join(dir, manifest.name);
  try {
    mkdirSync(project);
    const withoutDev = (of: object) => ({ ...of, devDependencies: undefined });
    const packages = { "": withoutDev(lock.packages[""] ?? {}), ...productionPackages() };
    writeFileSync(join(project, "package.json"), JSON.stringify(withoutDev(manifest)));
    writeFileSync(join(project, "package-lock.json"), JSON.stringify({ ...lock, packages }));
    const args = ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--package-lock-only"];
    const options = { cwd: project, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 } as const;
    return JSON.parse(execFileSync("npm", args, options)) as Sbom;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function licencesIn({ components }: Sbom): readonly Licensed[] {
  return components.map(({ name, version, licenses = [] }) => {
    const [first] = licenses;
    return { name, version, licence: licenses.length === 1 ? (first?.expression ?? first?.license?.id) : undefined };
  });
}
