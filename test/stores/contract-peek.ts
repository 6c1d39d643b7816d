import { describe, expect, test } from "vitest";
import { dayMs, expectAbout, grantWrite, minuteMs, newKey, rowOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const request = { seen: "v1", leaseMs: minuteMs, usableMs: 1_000 };

/** What somebody finds who only looks. */
export function describePeeks(current: () => StoreUnderTest): void {
  describe("peek", () => {
    test("finds what a read finds", async () => {
      const { store } = current();
      const key = newKey();
      expect(await store.peek(key)).toEqual({ kind: "absent" });
      await store.put(key, grantWrite({ version: "v1", subject: "ann" }));
      const found = await store.peek(key);
      expect(found).toMatchObject({
        kind: "found",
        row: { version: "v1", state: "active", grant: { subject: "ann" } },
      });
      expect(found.kind === "found" && found.row.access?.token.reveal()).toBe("access-1");
      await store.revoke(key, "tomb");
      expect(await store.peek(key)).toEqual({ kind: "revoked", version: "tomb" });
    });

    test("says who has the lease, for how long, and what was presented before", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect(await store.peek(key)).toMatchObject({
        standing: { lease: undefined, earlier: undefined, failures: 0, answerMs: 0, rejectionHoldMs: 0 },
      });
      await store.acquire(key, { ...request, attempt: "a" });
      const held = await store.peek(key);
      expect(held).toMatchObject({ standing: { lease: { attempt: "a" }, earlier: { count: 1 } } });
      expectAbout(held.kind === "found" ? held.standing.lease?.remainingMs : undefined, minuteMs);
      await store.release(key, { attempt: "a", unused: false, backOffMs: minuteMs, answerMs: 2 * minuteMs });
      const waiting = await store.peek(key);
      expect(waiting).toMatchObject({ standing: { lease: undefined, earlier: { count: 1 }, failures: 1 } });
      expectAbout(waiting.kind === "found" ? waiting.row.backOffMs : undefined, minuteMs);
      expectAbout(waiting.kind === "found" ? waiting.standing.answerMs : undefined, 2 * minuteMs);
    });

    test("says for how long nobody may acquire it, which is no lease", async () => {
      const { store } = current();
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      expect(await store.peek(key)).toMatchObject({ standing: { quietMs: 0, isOlder: false } });
      await store.commit(key, "v1", grantWrite({ version: "v2" }), minuteMs);
      const quiet = await store.peek(key);
      expect(quiet).toMatchObject({ standing: { lease: undefined, isOlder: false } });
      expectAbout(quiet.kind === "found" ? quiet.standing.quietMs : undefined, minuteMs);
    });

    test("does not prolong a grant's life, as a read does", async () => {
      const { store, pass } = current();
      const key = newKey();
      await store.put(key, grantWrite({ lifeMs: 10 * dayMs }));
      await pass(6 * dayMs);
      const found = await store.peek(key);
      expectAbout(found.kind === "found" ? found.row.life.ms : undefined, 4 * dayMs);
      expectAbout((await rowOf(store, key)).life.ms, 10 * dayMs);
    });
  });
}
