import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { grantWrite, newKey, rowOf, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Put, commit and refuse. */
export function describeWrites(current: () => StoreUnderTest): void {
  describe("put", () => {
    test("answers, and knows nothing of what was never put", async () => {
      const { store } = current();
      await store.ping();
      expect(await store.read(newKey())).toEqual({ kind: "absent" });
    });

    test("gives back what was put, with the secrets not printable", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1", refresh: "refresh-ä", access: "access-1", subject: "alice" }));
      const row = await rowOf(store, key);
      expect(row).toMatchObject({
        version: "v1",
        state: "active",
        grant: { scope: "read write", subject: "alice", createdAt: 1_000, refreshedAt: 2_000 },
      });
      expect(row.why).toBeUndefined();
      expect(row.grant.refreshToken?.reveal()).toBe("refresh-ä");
      expect(row.access?.token.reveal()).toBe("access-1");
      expect(inspect(row, { depth: 9 }) + JSON.stringify(row)).not.toMatch(/refresh-ä|access-1/);
    });

    test("holds a refresh token alone, and an access token alone", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ access: null }));
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-1", access: undefined });
      await store.put(key, grantWrite({ refresh: null }));
      expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: undefined, access: "access-1" });
    });

    test("replaces the whole grant: nothing of the former login is left", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ subject: "alice", stated: true }));
      await store.put(key, grantWrite({ version: "v2", refresh: "refresh-2", access: null }));
      const row = await rowOf(store, key);
      expect(row).toMatchObject({ version: "v2", state: "active", life: { stated: false } });
      expect([row.grant.subject, row.access]).toEqual([undefined, undefined]);
    });

    test("revives a dead grant", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.refuse(key, "v1", "invalid_grant");
      await store.put(key, grantWrite({ version: "v2", refresh: "refresh-2" }));
      expect(await summaryOf(store, key)).toEqual({
        version: "v2",
        state: "active",
        why: undefined,
        refresh: "refresh-2",
        access: "access-1",
      });
    });
  });

  describe("commit", () => {
    test("is written where the version has not moved", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect(
        await store.commit(key, "v1", grantWrite({ version: "v2", refresh: "refresh-2", access: "access-2" })),
      ).toBe("written");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2", access: "access-2" });
    });

    test("late, leaves the newer grant as it is", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.put(key, grantWrite({ version: "v2", refresh: "refresh-2" }));
      expect(await store.commit(key, "v1", grantWrite({ refresh: "refresh-late" }))).toBe("superseded");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
    });

    test("repeated with the same version is the same write, and superseded once something newer is there", async () => {
      const { store } = current();
      const key = newKey();
      const second = grantWrite({ version: "v2", refresh: "refresh-2" });
      await store.put(key, grantWrite({ version: "v1" }));
      expect([await store.commit(key, "v1", second), await store.commit(key, "v1", second)]).toEqual([
        "written",
        "already",
      ]);
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active", refresh: "refresh-2" });
      expect(await store.commit(key, "v2", grantWrite({ version: "v3", refresh: "refresh-3" }))).toBe("written");
      expect(await store.commit(key, "v1", second)).toBe("superseded");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v3", refresh: "refresh-3" });
    });

    test("recreates a grant that the store lost: no logout by a failover", async () => {
      const { store } = current();
      const key = newKey();
      expect(await store.commit(key, "lost", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active", refresh: "refresh-2" });
    });

    test("of the refused version revives the dead grant: its holder was only slow", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.refuse(key, "v1", "invalid_grant");
      expect(await store.commit(key, "v1", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
      expect(await summaryOf(store, key)).toMatchObject({
        version: "v2",
        state: "active",
        why: undefined,
        refresh: "refresh-2",
      });
    });

    test("50 at once from the same version: exactly one is written, and it is what is read", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      const writes = Array.from({ length: 50 }, (_, at) =>
        grantWrite({ version: `v2-${at}`, refresh: `refresh-${at}` }),
      );
      const results = await Promise.all(writes.map((write) => store.commit(key, "v1", write)));
      expect(results.filter((result) => result === "written")).toHaveLength(1);
      expect(results.filter((result) => result === "superseded")).toHaveLength(49);
      const winner = results.indexOf("written");
      expect(await summaryOf(store, key)).toMatchObject({ version: `v2-${winner}`, refresh: `refresh-${winner}` });
    });
  });

  describe("refuse", () => {
    test("marks the grant dead, keeps its version and what is left of its access token, and can be repeated", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect([await store.refuse(key, "v1", "invalid_grant"), await store.refuse(key, "v1", "invalid_grant")]).toEqual([
        "dead",
        "dead",
      ]);
      expect(await summaryOf(store, key)).toEqual({
        version: "v1",
        state: "dead",
        why: "invalid_grant",
        refresh: "refresh-1",
        access: "access-1",
      });
    });

    test("of an older version leaves the newer alone: another replica had just rotated it", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.commit(key, "v1", grantWrite({ version: "v2" }));
      expect(await store.refuse(key, "v1", "invalid_grant")).toBe("superseded");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active", why: undefined });
    });

    test("creates nothing where there is nothing", async () => {
      const { store } = current();
      const key = newKey();
      expect(await store.refuse(key, "v1", "invalid_grant")).toBe("absent");
      expect(await store.read(key)).toEqual({ kind: "absent" });
    });
  });
}
