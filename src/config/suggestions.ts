import { configJsonSchema } from "./schema.ts";

/**
 * The candidate that was probably meant: one that differs in case, `_` and `-` alone, one that begins with the word, or
 * one that is a typing error away.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const meant = bare(word);
  const same = candidates.find((candidate) => bare(candidate) === meant);
  if (same !== undefined || meant === "") return same;
  const ranked = candidates
    .filter((candidate) => lettersOf(candidate) !== lettersOf(meant))
    .map((candidate) => ({ candidate, distance: distanceOf(meant, bare(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const [first] = ranked;
  if (first !== undefined && first.distance <= tolerated(meant)) return first.candidate;
  return meant.length < 3 ? undefined : candidates.find((candidate) => bare(candidate).startsWith(meant));
}

/**
 * What to say of an unknown key of the mapping at `path`: the key that was meant, the mapping that it belongs in, or
 * the keys that there are.
 */
export function hintFor(key: string, path: readonly PropertyKey[]): string {
  const schema = schemaAt(path);
  const known = Object.keys(schema?.properties ?? {});
  const suggestion = nearest(key, known);
  if (suggestion !== undefined) return `is no known key; did you mean ${suggestion}?`;
  const inside = known.find((name) => Object.hasOwn(mappingOf(schema?.properties?.[name])?.properties ?? {}, key));
  if (inside !== undefined) return `is no known key here; it belongs under ${inside}`;
  return known.length === 0 ? "is no known key" : `is no known key; known are ${known.join(", ")}`;
}

/** The parts of a JSON Schema that are used here. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

function schemaAt(path: readonly PropertyKey[]): Schema | undefined {
  return mappingOf(
    path.reduce<Schema | undefined>((schema, key) => memberOf(mappingOf(schema), key), configJsonSchema() as Schema),
  );
}

function memberOf(schema: Schema | undefined, key: PropertyKey): Schema | undefined {
  if (schema === undefined || typeof key === "number") return schema?.items;
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, key)) return schema.properties[String(key)];
  return typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
}

/** Where a schema has alternatives, such as a mapping or null: the one with members. */
function mappingOf(schema: Schema | undefined): Schema | undefined {
  return schema?.anyOf?.find(({ properties, items }) => properties !== undefined || items !== undefined) ?? schema;
}

function bare(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Two words that differ in digits alone name two versions, and are not taken for a typing error. */
function lettersOf(word: string): string {
  return bare(word).replaceAll(/\d/g, "");
}

function tolerated(word: string): number {
  return word.length <= 3 ? 1 : word.length <= 8 ? 2 : 3;
}

/**
 * How many letters are to be added, removed, replaced or exchanged with their neighbour, for words of a few letters.
 */
function distanceOf(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, at) => at)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const exchanged =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : replaced;
      rows[i]?.push(Math.min(replaced, exchanged, at(i - 1, j) + 1, at(i, j - 1) + 1));
    }
  }
  return at(a.length, b.length);
}

/** What is wrong with the name of an upstream that there is not. */
export function unknownUpstream(name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return `"${name}" is not in upstreams${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}
