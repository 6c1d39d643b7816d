import { describe, expect, test } from "vitest";
import { grantWrite, hourMs, minuteMs, newKey, rowOf, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const rejection = { stays: false, firstHoldMs: minuteMs, longestHoldMs: hourMs };

/** A store's answer to an API that rejects access tokens. */
export function describeRejection(current: () => StoreUnderTest): void {
  describe("reject", () => {
    test("drops the access token and keeps the grant, and can be repeated", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      const twice = [await store.reject(key, "v1", rejection), await store.reject(key, "v1", rejection)];
      expect(twice).toEqual([{ kind: "rejected" }, { kind: "rejected" }]);
      expect(await summaryOf(store, key)).toMatchObject({
        ...{ version: "v1", state: "active", refresh: "refresh-1", access: undefined },
      });
      expect((await rowOf(store, key)).isRejected).toBe(true);
    });

    test("of a grant that cannot be refreshed keeps the token too", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1", refresh: null }));
      expect(await store.reject(key, "v1", { ...rejection, stays: true })).toEqual({ kind: "rejected" });
      expect(await summaryOf(store, key)).toMatchObject({ version: "v1", access: "access-1" });
      expect((await rowOf(store, key)).isRejected).toBe(true);
    });

    test("of a grant that its provider has refused is noted, and leaves it dead", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.refuse(key, "v1", "invalid_grant");
      expect(await store.reject(key, "v1", { ...rejection, stays: true })).toEqual({ kind: "rejected" });
      expect(await summaryOf(store, key)).toMatchObject({ version: "v1", state: "dead", access: "access-1" });
      expect((await rowOf(store, key)).isRejected).toBe(true);
    });

    test("leaves a token of another version alone, a grant that has ended, and a place that is empty", async () => {
      const { store } = current();
      const [key, ended, empty] = [newKey(), newKey(), newKey()];
      await store.put(key, grantWrite({ version: "v2" }));
      await store.put(ended, grantWrite({ version: "v1" }));
      await store.revoke(ended, "tomb");
      for (const each of [key, ended, empty])
        expect(await store.reject(each, "v1", rejection)).toEqual({ kind: "superseded" });
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", access: "access-1" });
      expect((await rowOf(store, key)).isRejected).toBe(false);
      expect(await store.read(empty)).toEqual({ kind: "absent" });
    });

    test("leaves lease and marker to the attempt that has them: its tokens are written", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.acquire(key, { attempt: "a", seen: "v1", leaseMs: minuteMs, usableMs: 0 });
      await store.reject(key, "v1", rejection);
      expect(await store.acquire(key, { attempt: "b", seen: "v1", leaseMs: minuteMs, usableMs: 0 })).toMatchObject({
        kind: "busy",
      });
      expect(await store.commit(key, "v1", grantWrite({ version: "v2", access: "access-2" }))).toBe("written");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", access: "access-2" });
      expect((await rowOf(store, key)).isRejected).toBe(false);
    });

    test("of a rejected token's successor changes nothing for a minute, then for two, and for an hour at most", async () => {
      const { store, pass } = current();
      const key = newKey();
      const wide = { ...rejection, longestHoldMs: 3 * minuteMs };
      await store.put(key, grantWrite({ version: "v1" }));
      await store.reject(key, "v1", wide);
      for (const [version, holdMs] of [
        ["v2", minuteMs],
        ["v3", 2 * minuteMs],
        ["v4", 3 * minuteMs],
        ["v5", 3 * minuteMs],
      ] as const) {
        await store.commit(key, `v${Number(version.slice(1)) - 1}`, grantWrite({ version }));
        const held = await store.reject(key, version, wide);
        if (held.kind !== "held") throw new Error(`${version}: ${held.kind}`);
        expect(held.remainingMs).toBeGreaterThan(holdMs - 5_000);
        expect(held.remainingMs).toBeLessThanOrEqual(holdMs);
        expect(await summaryOf(store, key)).toMatchObject({ version, access: "access-1" });
        await pass(holdMs - 10_000);
        expect((await store.reject(key, version, wide)).kind).toBe("held");
        await pass(11_000);
        expect(await store.reject(key, version, wide)).toEqual({ kind: "rejected" });
      }
    });

    test("is forgotten once a token was replaced that was not rejected", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.reject(key, "v1", rejection);
      await store.commit(key, "v1", grantWrite({ version: "v2" }));
      await store.commit(key, "v2", grantWrite({ version: "v3" }));
      expect(await store.reject(key, "v3", rejection)).toEqual({ kind: "rejected" });
      await store.commit(key, "v3", grantWrite({ version: "v4" }));
      expect((await store.reject(key, "v4", rejection)).kind).toBe("held");
      await store.commit(key, "v4", grantWrite({ version: "v5" }));
      expect((await store.reject(key, "v5", rejection)).kind).toBe("held");
    });

    test("is forgotten an hour after the last one, and at a login", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1", remainingMs: null }));
      await store.reject(key, "v1", rejection);
      await store.commit(key, "v1", grantWrite({ version: "v2", remainingMs: null }));
      await pass(hourMs + 1_000);
      expect(await store.reject(key, "v2", rejection)).toEqual({ kind: "rejected" });
      await store.put(key, grantWrite({ version: "v3" }));
      expect(await store.reject(key, "v3", rejection)).toEqual({ kind: "rejected" });
    });
  });
}
