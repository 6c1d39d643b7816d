/**
 * The value at a path of keys in parsed JSON or a Struct; undefined where any step is missing. Looks at own keys only,
 * as the keys come from others.
 */
export function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}
