import { isDeepStrictEqual } from "node:util";
import { Secret } from "./secret.ts";

/**
 * Whether two parts of configurations say the same. Secrets are compared by their values: to `isDeepStrictEqual` all of
 * them look alike, so that a changed secret would not count as a change.
 */
export function sameConfig(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (a instanceof Secret || b instanceof Secret)
    return a instanceof Secret && b instanceof Secret && a.reveal() === b.reveal();
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, at) => sameConfig(item, b[at]));
  if (!isPlain(a) || !isPlain(b)) return isDeepStrictEqual(a, b);
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameConfig(a[key], b[key]));
}

/** A key that is undefined is the same as one that is missing. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
