import fc from "fast-check";
import QuickLRU from "quick-lru";
import { expect, test } from "vitest";
import { createLruCache } from "../../src/platform/lru-cache.ts";

const maxEntries = 8;
const operation = fc.record({
  kind: fc.constantFrom("set", "get", "delete"),
  key: fc.integer({ min: 0, max: 30 }).map(String),
});

test("counts its entries without walking over them: all there are up to the maximum, and never more than are kept", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const cache = createLruCache<number>(maxEntries);
      const walked = new QuickLRU<string, number>({ maxSize: maxEntries });
      const everSet = new Set<string>();
      for (const { kind, key } of operations) {
        if (kind === "set") everSet.add(key);
        for (const each of [cache, walked])
          kind === "set" ? each.set(key, 1) : kind === "get" ? each.get(key) : each.delete(key);
        expect(cache.size()).toBeLessThanOrEqual(walked.size);
        if (everSet.size < maxEntries) expect(cache.size()).toBe(walked.size);
      }
    }),
  );
});

test("is full at its maximum, however many more are set", () => {
  const cache = createLruCache<number>(maxEntries);
  for (let key = 0; key < 100; key += 1) cache.set(String(key), key);
  expect(cache.size()).toBe(maxEntries);
  expect(cache.get("99")).toBe(99);
});
