import type { LRUCache } from "lru-cache";

/**
 * Options of an LRUCache of `maxEntries`. They are counted as sizes of one: told a number (`max`), the library takes 40
 * bytes for each of them at once, whether they ever come or not, and there is a cache for each upstream.
 */
export function upTo<K extends {}, V extends {}>(maxEntries: number): LRUCache.Options<K, V, unknown> {
  return { maxSize: maxEntries, sizeCalculation: one };
}

/** For each `get` on the path of requests: without it the library makes an object of options each time. */
export const plainGet: { status?: never } = {};

function one(): number {
  return 1;
}
