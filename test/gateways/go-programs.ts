import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cacheDir = join(import.meta.dirname, "../../.cache");

/** What is built from Go modules, the only place where their versions are named. */
export const goPrograms = {
  envoyGateway: { package: "github.com/envoyproxy/gateway/cmd/envoy-gateway", version: "v1.9.1" },
  // Istio tags no Go versions: this is a commit of 2026-08-27, whose file VERSION says 1.31.
  pilot: { package: "istio.io/istio/pilot/cmd/pilot-discovery", version: "v0.0.0-20260827124520-eed52ebb66ad" },
  istioctl: { package: "istio.io/istio/istioctl/cmd/istioctl", version: "v0.0.0-20260827124520-eed52ebb66ad" },
} as const;

export type GoProgram = (typeof goPrograms)[keyof typeof goPrograms];

/** The program's path. It is built once, into `.cache/`; throws with Go's words when that does not succeed. */
export async function builtProgram(program: GoProgram): Promise<string> {
  const name = program.package.slice(program.package.lastIndexOf("/") + 1);
  const path = join(cacheDir, `${name}-${program.version}`, name);
  if (await exists(path)) return path;
  await mkdir(join(path, ".."), { recursive: true });
  const scratch = await mkdtemp(join(cacheDir, "build-"));
  try {
    await install(program, scratch);
    await rename(join(scratch, name), path);
    return path;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function install({ package: name, version }: GoProgram, binDir: string): Promise<void> {
  try {
    // Without debug information: the programs are a hundred megabytes smaller.
    await run("go", ["install", "-ldflags=-s -w", `${name}@${version}`], {
      env: { ...process.env, GOBIN: binDir },
      maxBuffer: 16 * 1024 * 1024,
    });
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const advice = isMissing ? "there is no Go: install 1.26.7 or later (https://go.dev/dl)" : "see the cause";
    throw new Error(`${name}@${version} could not be built: ${advice}`, { cause });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
