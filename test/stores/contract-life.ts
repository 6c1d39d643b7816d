import { describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { dayMs, expectAbout, grantWrite, hourMs, minuteMs, newKey, rowOf, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** How long tokens and grants are kept. */
export function describeLife(current: () => StoreUnderTest): void {
  describe("life", () => {
    test("the grant stays its 30 days when its access token expires: no hourly login", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1", remainingMs: hourMs }));
      await pass(hourMs);
      const row = await rowOf(store, key);
      expect(row).toMatchObject({ version: "v1", state: "active" });
      expect([row.access, row.grant.refreshToken?.reveal()]).toEqual([undefined, "refresh-1"]);
      expectAbout(row.life.ms, 30 * dayMs - hourMs);
    });

    test("the access token goes by the store's own clock, and takes nothing with it", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: 150 }));
      await until("the access token's end", async () => {
        await pass(25);
        return (await rowOf(store, key)).access === undefined;
      });
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-1", access: undefined });
    });

    test("the access token's remaining life goes down, the life it was issued with does not", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: 50 * minuteMs }));
      expectAbout((await rowOf(store, key)).access?.remainingMs, 50 * minuteMs);
      await pass(49 * minuteMs);
      const { access } = await rowOf(store, key);
      expectAbout(access?.remainingMs, minuteMs);
      expect(access?.lifeMs).toBe(hourMs);
    });

    test("an access token without expiry stays one: neither expired nor given an invented hour", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: null }));
      await pass(29 * dayMs);
      const { access } = await rowOf(store, key);
      expect(access?.token.reveal()).toBe("access-1");
      expect([access?.remainingMs, access?.lifeMs]).toEqual([undefined, undefined]);
    });

    test("an access token that is over when it is put is not kept", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: 0 }));
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-1", access: undefined });
    });

    test("a read prolongs the grant only once under half of its life is left", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite());
      await pass(14 * dayMs);
      expectAbout((await rowOf(store, key)).life.ms, 16 * dayMs);
      await pass(2 * dayMs);
      expectAbout((await rowOf(store, key)).life.ms, 30 * dayMs);
      await pass(29 * dayMs);
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-1" });
    });

    test("a read never prolongs a life that the provider stated", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ lifeMs: 10 * dayMs, stated: true }));
      await pass(9 * dayMs);
      expect((await rowOf(store, key)).life.stated).toBe(true);
      expectAbout((await rowOf(store, key)).life.ms, dayMs);
      await pass(dayMs);
      expect(await store.read(key)).toEqual({ kind: "absent" });
    });

    test("a grant that nobody asks for is gone at its end", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite());
      await pass(30 * dayMs);
      expect(await store.read(key)).toEqual({ kind: "absent" });
    });

    test("a refresh begins the life anew, and may say that the provider states it from now on", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await pass(10 * dayMs);
      await store.commit(key, "v1", grantWrite({ version: "v2", lifeMs: 20 * dayMs, stated: true }));
      await pass(15 * dayMs);
      const { life } = await rowOf(store, key);
      expect(life.stated).toBe(true);
      expectAbout(life.ms, 5 * dayMs);
    });

    test("a life beyond any calendar is kept, not failed upon with the grant half written", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: 9e21, lifeMs: 9e21, stated: true }));
      const row = await rowOf(store, key);
      expect(row.access?.token.reveal()).toBe("access-1");
      expect(row.life.ms).toBeGreaterThan(3_600 * dayMs);
    });
  });
}
