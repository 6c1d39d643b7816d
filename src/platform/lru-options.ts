import type { LRUCache } from "lru-cache";

/**
 * Options of an LRUCache of `maxEntries`. Entries are counted as sizes of one. With `max` the library would reserve 40
 * bytes for each possible entry at once, and there is a cache for each upstream.
 */
export function upTo<K extends {}, V extends {}>(maxEntries: number): LRUCache.Options<K, V, unknown> {
  return { maxSize: maxEntries, sizeCalculation: one };
}

/** Options for each `get` on the path of requests: without them the library makes an object each time. */
export const plainGet: { status?: never } = {};

function one(): number {
  return 1;
}
