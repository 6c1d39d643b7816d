import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseAllDocuments } from "yaml";
import { at, type Tree } from "../envoy/examples.ts";

export interface Manifest extends Tree {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Tree & { readonly name: string; readonly namespace?: string };
}

const folder = join(import.meta.dirname, "rendered");

/** What Helm made of the chart, by the name of the values; `npm run test:chart` compares it with Helm itself. */
export const rendered: ReadonlyMap<string, readonly Manifest[]> = new Map(
  readdirSync(folder).map((file) => [basename(file, ".yaml"), manifestsIn(readFileSync(join(folder, file), "utf8"))]),
);

function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: "1.1" }).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

export function renderedWith(values: string): readonly Manifest[] {
  const manifests = rendered.get(values);
  if (manifests === undefined) throw new Error(`test/chart/rendered has no ${values}.yaml: npm run test:chart -- -u`);
  return manifests;
}

/** The one of that kind and name. */
export function only(manifests: readonly Manifest[], kind: string, name = "bearerswap"): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} times ${kind} ${name}`);
  return found[0];
}

/** What bearerswap's ConfigMap holds, if there is one. */
export function configText(manifests: readonly Manifest[]): string | undefined {
  const maps = manifests.filter(({ kind, data }) => kind === "ConfigMap" && Object.hasOwn(Object(data), file));
  return maps[0] === undefined ? undefined : at<Record<string, string>>(maps[0], "data")[file];
}

const file = "bearerswap.yaml";

/** The pod that bearerswap runs in, its container, and how it stands there. */
export function podOf(manifests: readonly Manifest[]): { readonly spec: Tree; readonly container: Tree } | undefined {
  const deployment = manifests.find(({ kind }) => kind === "Deployment");
  if (deployment === undefined) return undefined;
  const spec = at<Tree>(deployment, "spec.template.spec");
  const containers = [...((spec.initContainers ?? []) as Tree[]), ...at<Tree[]>(spec, "containers")];
  const container = containers.find(({ name }) => name === "bearerswap");
  if (container === undefined) throw new Error("no container is called bearerswap");
  return { spec, container };
}
