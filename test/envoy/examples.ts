import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

/** Parsed YAML; the accessors below say what is missing where. */
export type Tree = { readonly [key: string]: unknown };

/** What a file in envoy/ is: told by what is in it. */
export type ExampleKind = "envoy" | "bearerswap" | "manifests" | "alerts" | "dashboard";

export interface Example {
  /** Below envoy/. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
  /** Undefined: nothing here knows how to load it. */
  readonly kind: ExampleKind | undefined;
  readonly documents: readonly Tree[];
}

const root = join(import.meta.dirname, "../../envoy");

/** Every file below envoy/. Throws on one that is neither YAML nor JSON. */
export const examples: readonly Example[] = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => loadExample(join(entry.parentPath, entry.name)))
  .sort((a, b) => a.name.localeCompare(b.name));

export function examplesOf(kind: ExampleKind): readonly Example[] {
  return examples.filter((file) => file.kind === kind);
}

/** The example of that name below envoy/. */
export function example(name: string): Example {
  const found = examples.find((candidate) => candidate.name === name);
  if (found === undefined)
    throw new Error(`there is no envoy/${name}, only: ${examples.map((candidate) => candidate.name).join(", ")}`);
  return found;
}

export function loadExample(path: string): Example {
  const text = readFileSync(path, "utf8");
  const documents = path.endsWith(".json") ? [JSON.parse(text) as Tree] : documentsOf(path, text);
  return { name: path.slice(root.length + 1), path, text, kind: kindOf(documents), documents };
}

function documentsOf(path: string, text: string): readonly Tree[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`);
    return document.toJS() as Tree;
  });
}

function kindOf(documents: readonly Tree[]): ExampleKind | undefined {
  const has = (...keys: string[]) =>
    documents.every(
      (document) => typeof document === "object" && document !== null && keys.every((key) => key in document),
    );
  if (has("apiVersion", "kind")) return "manifests";
  if (documents.length !== 1) return undefined;
  if (has("groups")) return "alerts";
  if (has("schemaVersion", "panels")) return "dashboard";
  return has("static_resources") ? "envoy" : has("listen", "sessions") ? "bearerswap" : undefined;
}

/** The value at a dotted path, array indexes included; throws where a step is missing. */
export function at<T = unknown>(tree: unknown, path: string): T {
  return path.split(".").reduce<unknown>((value, key) => {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key))
      throw new Error(`nothing at "${key}" of ${path}`);
    return (value as Tree)[key];
  }, tree) as T;
}

/** Every value under `key`, at any depth, in document order. */
export function findAll<T = unknown>(tree: unknown, key: string): T[] {
  if (typeof tree !== "object" || tree === null) return [];
  return Object.entries(tree).flatMap(([name, value]) => [
    ...(name === key ? [value as T] : []),
    ...findAll<T>(value, key),
  ]);
}

/** A copy with every value under `key`, at any depth, replaced by what `replace` makes of it. */
export function replaceAll(tree: unknown, key: string, replace: (value: unknown) => unknown): unknown {
  if (Array.isArray(tree)) return tree.map((item) => replaceAll(item, key, replace));
  if (typeof tree !== "object" || tree === null) return tree;
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => [
      name,
      name === key ? replace(value) : replaceAll(value, key, replace),
    ]),
  );
}

/** An Envoy or Go duration such as `15s` or `25ms`, in ms. */
export function durationMs(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(m?s)$/.exec(text) ?? [];
  if (count === undefined) throw new Error(`${text} is no duration in seconds or milliseconds`);
  return Number(count) * (unit === "s" ? 1_000 : 1);
}
