import { beforeEach, describe, expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { describeContract } from "./contract.ts";
import { dayMs, grantWrite, hourMs, newKey, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

function openMemory(maxGrants = 1_000): StoreUnderTest {
  const clock = manualClock();
  return { store: createMemoryStore({ clock, maxGrants }), pass: (ms) => clock.advance(ms) };
}

describe("memory store", () => {
  let current: StoreUnderTest;
  beforeEach(() => {
    current = openMemory();
  });
  describeContract(() => current);
});

describe("full memory store", () => {
  test("refuses a further grant and never drops a living one to make room", async () => {
    const { store, pass } = openMemory(3);
    const keys = [newKey(), newKey(), newKey()];
    for (const key of keys) await store.put(key, grantWrite());
    await pass(20 * dayMs);
    const full = { code: "store_full", message: expect.stringContaining("store.memory.maxGrants") };
    await expect(
      store.put(newKey(), grantWrite({ refresh: "refresh-secret", access: "access-secret" })),
    ).rejects.toMatchObject(full);
    await expect(store.commit(newKey(), "v1", grantWrite())).rejects.toMatchObject(full);
    for (const key of keys)
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-1" });
  });

  test("still takes what replaces a grant it holds: login, refresh, refusal, revocation", async () => {
    const { store } = openMemory(1);
    const key = newKey();
    await store.put(key, grantWrite({ version: "v1" }));
    await store.put(key, grantWrite({ version: "v2" }));
    expect(await store.commit(key, "v2", grantWrite({ version: "v3" }))).toBe("written");
    expect(await store.refuse(key, "v3", "invalid_grant")).toBe("dead");
    expect(await store.revoke(key, "tomb")).toBe("v3");
    expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
  });

  test("has room again once a grant or a tombstone has expired", async () => {
    const { store, pass } = openMemory(2);
    const [revoked, short] = [newKey(), newKey()];
    await store.put(revoked, grantWrite({ lifeMs: hourMs }));
    await store.revoke(revoked, "tomb");
    await store.put(short, grantWrite({ lifeMs: 2 * hourMs, stated: true }));
    await pass(hourMs);
    await expect(store.put(newKey(), grantWrite())).rejects.toMatchObject({ code: "store_full" });
    await pass(hourMs);
    await store.put(newKey(), grantWrite());
    await expect(store.put(newKey(), grantWrite())).rejects.toMatchObject({ code: "store_full" });
    await pass(22 * hourMs);
    await store.put(newKey(), grantWrite());
  });

  test("names no token in what it throws", async () => {
    const { store } = openMemory(1);
    await store.put(newKey(), grantWrite());
    const error = await store
      .put(newKey(), grantWrite({ refresh: "refresh-secret", access: "access-secret" }))
      .catch((thrown: unknown) => thrown);
    expect(`${error} ${JSON.stringify(error)}`).not.toContain("secret");
  });
});
