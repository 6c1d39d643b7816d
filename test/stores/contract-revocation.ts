import { describe, expect, test } from "vitest";
import { dayMs, grantWrite, hourMs, minuteMs, newKey, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Revocation and its tombstones. */
export function describeRevocation(current: () => StoreUnderTest): void {
  describe("revoke", () => {
    test("leaves a tombstone of its own version: tokens are gone, and a late commit or refusal changes nothing", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect(await store.revoke(key, "tomb")).toBe("v1");
      expect(await store.commit(key, "v1", grantWrite({ version: "v2" }))).toBe("revoked");
      expect(await store.refuse(key, "v1", "invalid_grant")).toBe("revoked");
      expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
    });

    test("a commit whose reply was lost does not come back after it", async () => {
      const { store } = current();
      const key = newKey();
      const second = grantWrite({ version: "v2" });
      await store.put(key, grantWrite({ version: "v1" }));
      await store.commit(key, "v1", second);
      await store.revoke(key, "tomb");
      expect(await store.commit(key, "v1", second)).toBe("revoked");
      expect(await store.commit(key, "tomb", grantWrite({ version: "v3" }))).toBe("revoked");
      expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
    });

    test("holds a day at least, also for a grant at its end", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1", lifeMs: hourMs }));
      await pass(59 * minuteMs);
      await store.revoke(key, "tomb");
      await pass(dayMs - minuteMs);
      expect(await store.commit(key, "v1", grantWrite())).toBe("revoked");
      await pass(minuteMs);
      expect(await store.read(key)).toEqual({ kind: "absent" });
    });

    test("holds as long as the grant would have, and reads do not prolong it", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.revoke(key, "tomb");
      await pass(29 * dayMs);
      expect(await store.commit(key, "v1", grantWrite())).toBe("revoked");
      expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
      await pass(dayMs);
      expect(await store.read(key)).toEqual({ kind: "absent" });
    });

    test("says which grant there was, and that there was one when repeated after a lost reply", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect([
        await store.revoke(key, "tomb"),
        await store.revoke(key, "tomb"),
        await store.revoke(key, "tomb-2"),
      ]).toEqual(["v1", "tomb", undefined]);
    });

    test("in place of one version only leaves every other as it is, a login as well as another tombstone", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v2" }));
      expect([await store.revoke(key, "tomb", "v1"), await summaryOf(store, key)]).toMatchObject([
        undefined,
        { version: "v2", state: "active" },
      ]);
      expect([await store.revoke(key, "tomb", "v2"), await store.read(key)]).toEqual([
        "v2",
        { kind: "revoked", version: "tomb" },
      ]);
      expect([await store.revoke(key, "late", "v2"), await store.read(key)]).toEqual([
        undefined,
        { kind: "revoked", version: "tomb" },
      ]);
    });

    test("in place of one version only is written where nothing is", async () => {
      const { store } = current();
      const key = newKey();
      expect([await store.revoke(key, "tomb", "v1"), await store.read(key)]).toEqual([
        undefined,
        { kind: "revoked", version: "tomb" },
      ]);
    });

    test("ends a dead grant too", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.refuse(key, "v1", "invalid_grant");
      expect(await store.revoke(key, "tomb")).toBe("v1");
      expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
    });

    test("where there was no grant still keeps a refresh under way from creating one", async () => {
      const { store } = current();
      const key = newKey();
      expect(await store.revoke(key, "tomb")).toBeUndefined();
      expect(await store.commit(key, "v1", grantWrite())).toBe("revoked");
    });

    test("gives way to a new login", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await store.revoke(key, "tomb");
      await store.put(key, grantWrite({ version: "v2", refresh: "refresh-2" }));
      expect(await store.commit(key, "v1", grantWrite())).toBe("superseded");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active", refresh: "refresh-2" });
    });

    test("racing with 20 commits always wins in the end", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      const commits = Array.from({ length: 20 }, (_, at) =>
        store.commit(key, "v1", grantWrite({ version: `v2-${at}` })),
      );
      const revoked = store.revoke(key, "tomb");
      const late = Array.from({ length: 20 }, (_, at) => store.commit(key, `v2-${at}`, grantWrite()));
      await Promise.all([...commits, revoked, ...late]);
      expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
    });
  });
}
