/** The parts of a JSON Schema that docs/configuration.md is written from. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
}

/**
 * Every mapping of the configuration that has keys, by its path: `upstreams.NAME.connect`, `sessions[].jwt`, and the
 * whole file by the empty path.
 */
export function mappingsOf(schema: Schema, path = ""): ReadonlyMap<string, Schema> {
  const { properties = {}, items, additionalProperties, anyOf = [] } = schema;
  const inner = [
    ...Object.entries(properties).map(([key, value]) => [path === "" ? key : `${path}.${key}`, value] as const),
    ...(items === undefined ? [] : [[`${path}[]`, items] as const]),
    ...(typeof additionalProperties === "object" ? [[`${path}.NAME`, additionalProperties] as const] : []),
    ...anyOf.map((alternative) => [path, alternative] as const),
  ];
  const own: [string, Schema][] = schema.properties === undefined ? [] : [[path, schema]];
  return new Map([...own, ...inner.flatMap(([at, value]) => [...mappingsOf(value, at)])]);
}

/** A table of keys in the page: for one mapping, or for several that have the same keys. */
const table = /^<!-- keys of ([^\n]+) -->\n.*?^<!-- end of keys -->$/gms;

/** The mappings that the page has tables of. */
export function mappingsIn(page: string): string[] {
  return [...page.matchAll(table)].flatMap(([, paths = ""]) => pathsOf(paths));
}

/** docs/configuration.md with every table written anew from the schema. The text around the tables is kept. */
export function configurationPage(page: string, schema: Schema): string {
  const mappings = mappingsOf(schema);
  return page.replaceAll(table, (_whole, paths: string) => {
    const tables = pathsOf(paths).map((path) => {
      const mapping = mappings.get(path);
      if (mapping === undefined) throw new Error(`docs/configuration.md: the configuration has no mapping ${path}`);
      return tableOf(mapping, path === "" ? (key) => linked(key, page) : code);
    });
    if (new Set(tables).size !== 1) throw new Error(`docs/configuration.md: ${paths} have not the same keys`);
    return `<!-- keys of ${paths} -->\n\n${tables[0]}\n\n<!-- end of keys -->`;
  });
}

function pathsOf(paths: string): string[] {
  return paths.split(", ").map((path) => (path === "the file" ? "" : path));
}

function code(key: string): string {
  return `\`${key}\``;
}

/** A section's name leads to its heading. */
function linked(key: string, page: string): string {
  return page.includes(`\n## ${key}\n`) ? `[${code(key)}](#${key})` : code(key);
}

function tableOf({ properties = {}, required = [] }: Schema, shown: (key: string) => string): string {
  const rows = Object.entries(properties).map(([key, schema]) => {
    const preset = required.includes(key) ? "needed" : defaultOf(schema);
    return `| ${shown(key)} | ${typeOf(schema)} | ${preset} | ${schema.description ?? ""} |`.replaceAll("|  |", "| |");
  });
  return ["| key | type | default | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

function defaultOf({ default: value }: Schema): string {
  if (value === undefined || JSON.stringify(value) === "{}" || JSON.stringify(value) === "[]") return "";
  return typeof value === "object" ? `\`${flow(value)}\`` : `\`${value}\``;
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  return `{${Object.entries(value).map(([key, inner]) => `${key}: ${flow(inner)}`)}}`;
}

function typeOf(schema: Schema): string {
  const { title, type, items, additionalProperties } = schema;
  if (title !== undefined) return title;
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value === " " ? '" "' : value}\``).join(", ");
  if (schema.anyOf !== undefined) {
    const types = schema.anyOf.filter((alternative) => alternative.type !== "null").map(typeOf);
    return types.join(" or ");
  }
  if (type === "array") return `list of ${plural(typeOf(items ?? {}))}`;
  if (type === "object" && typeof additionalProperties === "object")
    return `mapping of names to ${plural(typeOf(additionalProperties))}`;
  const words: Readonly<Record<string, string>> = {
    object: "mapping",
    string: "text",
    integer: "whole number",
    boolean: "true or false",
  };
  return words[type ?? ""] ?? type ?? "";
}

function plural(type: string): string {
  const words: Readonly<Record<string, string>> = {
    "host:port": "host:port",
    "text or list of texts": "texts or lists",
  };
  return words[type] ?? `${type}s`;
}
