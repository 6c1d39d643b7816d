import QuickLRU from "quick-lru";

/** Values by key; the least recently used go first, between one and two times `maxEntries` are kept. */
export interface LruCache<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
  /** Walks over all that are kept: for what is asked for seldom. */
  values(): Iterable<V>;
  /**
   * Entries kept, `maxEntries` at most. Counted along: the library's own `size` walks over all entries, which takes
   * milliseconds of everybody's time.
   */
  size(): number;
}

export function createLruCache<V>(maxEntries: number): LruCache<V> {
  const entries = new QuickLRU<string, V>({ maxSize: maxEntries });
  // Once `maxEntries` are reached the library drops entries in bulk, but never below that number: what is counted here
  // never exceeds what is kept.
  let size = 0;
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      if (size < maxEntries && !entries.has(key)) size += 1;
      entries.set(key, value);
    },
    delete(key) {
      if (entries.delete(key)) size -= 1;
    },
    *values() {
      for (const [, value] of entries) yield value;
    },
    size: () => size,
  };
}
