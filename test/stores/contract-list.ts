import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { hashSession } from "../../src/stores/grant.ts";
import { dayMs, grantWrite, hourMs, newKey, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Which grants a session has, and that sessions are kept apart. */
export function describeList(current: () => StoreUnderTest): void {
  const listed = async (session: string, candidates: readonly string[] = []) =>
    [...(await current().store.list(session, candidates))].sort();

  describe("list", () => {
    test("names every upstream with a grant, dead and revoked ones too, and no other session's", async () => {
      const { store } = current();
      const { session } = newKey();
      for (const upstream of ["crm", "wiki", "mail"])
        await store.put({ session, upstream }, grantWrite({ version: "v1" }));
      await store.refuse({ session, upstream: "wiki" }, "v1", "invalid_grant");
      await store.revoke({ session, upstream: "mail" }, "tomb");
      await store.put(newKey("calendar"), grantWrite());
      expect(await listed(session)).toEqual(["crm", "mail", "wiki"]);
      expect(await listed(session, ["crm", "calendar"])).toEqual(["crm", "mail", "wiki"]);
    });

    test("is empty for a session without grants", async () => {
      expect(await listed(newKey().session)).toEqual([]);
      expect(await listed(newKey().session, ["crm"])).toEqual([]);
    });

    test("names a grant that a commit recreated", async () => {
      const { store } = current();
      const key = newKey();
      await store.commit(key, "lost", grantWrite());
      expect(await listed(key.session, ["crm"])).toEqual(["crm"]);
    });

    test("leaves out what has expired", async () => {
      const { store, pass } = current();
      const { session } = newKey();
      await store.put({ session, upstream: "crm" }, grantWrite({ lifeMs: hourMs, stated: true }));
      await store.put({ session, upstream: "wiki" }, grantWrite({ lifeMs: 3 * dayMs, stated: true }));
      await pass(dayMs);
      expect(await listed(session)).toEqual(["wiki"]);
    });
  });

  describe("sessions", () => {
    test("of two sources with the same id have grants of their own", async () => {
      const { store } = current();
      const id = randomUUID();
      const [jwt, opaque] = ["agents", "opaque"].map((source) => ({
        session: hashSession(source, id),
        upstream: "crm",
      }));
      await store.put(jwt as never, grantWrite({ refresh: "refresh-jwt" }));
      expect(await store.read(opaque as never)).toEqual({ kind: "absent" });
      await store.put(opaque as never, grantWrite({ refresh: "refresh-opaque" }));
      await store.revoke(jwt as never, "tomb");
      expect(await summaryOf(store, opaque as never)).toMatchObject({ state: "active", refresh: "refresh-opaque" });
    });

    test("cannot be confused by moving characters between source and id", () => {
      expect(hashSession("a", "bc")).not.toBe(hashSession("ab", "c"));
      expect(hashSession("a", "b")).toMatch(/^[A-Za-z0-9_-]{43}$/);
    });

    test("have one grant for each upstream, whose names may begin alike", async () => {
      const { store } = current();
      const { session } = newKey();
      await store.put({ session, upstream: "crm" }, grantWrite({ refresh: "refresh-crm" }));
      await store.put({ session, upstream: "crm-test" }, grantWrite({ refresh: "refresh-test" }));
      await store.revoke({ session, upstream: "crm" }, "tomb");
      expect(await summaryOf(store, { session, upstream: "crm-test" })).toMatchObject({
        state: "active",
        refresh: "refresh-test",
      });
    });
  });
}
