import { describe, expect, test } from "vitest";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { AcquireResult, TokenStore } from "../../src/stores/token-store.ts";
import { expectAbout, grantWrite, hourMs, minuteMs, newKey, summaryOf } from "./grants.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const leaseMs = 15_000;

/** Acquire, renew and release. */
export function describeLeases(current: () => StoreUnderTest): void {
  const store = () => current().store;

  describe("acquire", () => {
    test("gives the grant and the lease to the first, and makes others wait", async () => {
      const key = await put(store(), { version: "v1", access: null });
      const first = await acquire(store(), key, "a");
      expect(first).toMatchObject({
        kind: "acquired",
        failures: 0,
        earlier: undefined,
        row: { version: "v1", state: "active", backOffMs: 0 },
      });
      expect(first.kind === "acquired" && first.row.grant.refreshToken?.reveal()).toBe("refresh-1");
      const second = await acquire(store(), key, "b");
      expect(second.kind).toBe("busy");
      expectAbout(second.kind === "busy" ? second.remainingMs : 0, leaseMs);
    });

    test("50 at once: one has the lease", async () => {
      const key = await put(store(), { version: "v1", access: null });
      const results = await Promise.all(Array.from({ length: 50 }, (_, at) => acquire(store(), key, `attempt-${at}`)));
      expect(results.map(({ kind }) => kind).sort()).toEqual(["acquired", ...Array.from({ length: 49 }, () => "busy")]);
    });

    test("repeated with the same attempt is the same acquire: a lost reply counts no second attempt", async () => {
      const key = await put(store(), { version: "v1", access: null });
      expect([await acquire(store(), key, "a"), await acquire(store(), key, "a")]).toMatchObject([
        { kind: "acquired", earlier: undefined },
        { kind: "acquired", earlier: undefined },
      ]);
      await store().release(key, { attempt: "a", unused: true, backOffMs: 0 });
      expect(await acquire(store(), key, "b")).toMatchObject({ kind: "acquired", earlier: undefined });
    });

    test("after a lease ran out tells of the attempt before, whose holder may have presented the token", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await current().pass(leaseMs + 5_000);
      const second = await acquire(store(), key, "b");
      expect(second).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
      expect(second.kind === "acquired" && second.earlier?.sinceMs).toBeGreaterThanOrEqual(leaseMs);
      await current().pass(leaseMs + 5_000);
      const third = await acquire(store(), key, "c");
      expect(third).toMatchObject({ kind: "acquired", earlier: { count: 2 } });
      expect(third.kind === "acquired" && third.earlier?.sinceMs).toBeGreaterThanOrEqual(2 * leaseMs);
    });

    test("hands over a token that is newer than the caller's, instead of the lease", async () => {
      const key = await put(store(), { version: "v2", access: "access-2", remainingMs: 2_000 });
      const found = await acquire(store(), key, "a", { seen: "v1" });
      expect(found).toMatchObject({ kind: "moved", row: { version: "v2" } });
      expect(found.kind === "moved" && found.row.access?.token.reveal()).toBe("access-2");
      expect(await acquire(store(), key, "b", { seen: "v2" })).toMatchObject({ kind: "acquired", earlier: undefined });
    });

    test("hands over a newer token without expiry", async () => {
      const key = await put(store(), { version: "v2", remainingMs: null });
      expect(await acquire(store(), key, "a", { seen: "v1" })).toMatchObject({ kind: "moved", row: { version: "v2" } });
    });

    test("does not hand over a newer token that has no more than what is usable left", async () => {
      const key = await put(store(), { version: "v2", remainingMs: 500 });
      expect(await acquire(store(), key, "a", { seen: "v1" })).toMatchObject({
        kind: "acquired",
        row: { version: "v2" },
      });
    });

    test("of a dead grant says so and takes no lease", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await store().refuse(key, "v1", "invalid_grant");
      expect(await acquire(store(), key, "a")).toMatchObject({ kind: "dead", row: { why: "invalid_grant" } });
    });

    test("of a revoked grant, and of none, says so and creates nothing", async () => {
      const key = await put(store(), { version: "v1" });
      await store().revoke(key, "tomb");
      expect(await acquire(store(), key, "a")).toEqual({ kind: "revoked" });
      const none = newKey();
      expect(await acquire(store(), none, "a")).toEqual({ kind: "absent" });
      expect(await store().read(none)).toEqual({ kind: "absent" });
    });
  });

  describe("renew", () => {
    test("keeps the lease past its first end", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await current().pass(leaseMs - 5_000);
      expect(await store().renew(key, "a", leaseMs)).toBe(true);
      await current().pass(leaseMs - 5_000);
      expect((await acquire(store(), key, "b")).kind).toBe("busy");
    });

    test("of a lease that somebody else has fails, and leaves theirs alone", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await current().pass(leaseMs + 5_000);
      await acquire(store(), key, "b");
      expect(await store().renew(key, "a", 100 * hourMs)).toBe(false);
      const busy = await acquire(store(), key, "c");
      expectAbout(busy.kind === "busy" ? busy.remainingMs : 0, leaseMs);
    });

    test("without a lease, or without a grant, fails and creates nothing", async () => {
      const key = await put(store(), { version: "v1", access: null });
      expect(await store().renew(key, "a", leaseMs)).toBe(false);
      expect((await acquire(store(), key, "b")).kind).toBe("acquired");
      const none = newKey();
      expect(await store().renew(none, "a", leaseMs)).toBe(false);
      expect(await store().read(none)).toEqual({ kind: "absent" });
    });
  });

  describe("release", () => {
    test("of a token that was surely not used takes the marker back; other attempts stay noted", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: false, backOffMs: 0 });
      expect(await acquire(store(), key, "b")).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
      expect(await store().release(key, { attempt: "b", unused: true, backOffMs: 0 })).toBe(true);
      expect(await acquire(store(), key, "c")).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
    });

    test("with a back-off keeps everybody from the token until it is over, and counts the failure", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: true, backOffMs: minuteMs });
      const waiting = await acquire(store(), key, "b");
      expect(waiting.kind).toBe("back_off");
      expectAbout(waiting.kind === "back_off" ? waiting.remainingMs : 0, minuteMs);
      const read = await store().read(key);
      expectAbout(read.kind === "found" ? read.row.backOffMs : 0, minuteMs);
      await current().pass(minuteMs);
      expect(await acquire(store(), key, "c")).toMatchObject({ kind: "acquired", failures: 1, row: { backOffMs: 0 } });
      await store().release(key, { attempt: "c", unused: true, backOffMs: 1 });
      await current().pass(1_000);
      expect(await acquire(store(), key, "d")).toMatchObject({ kind: "acquired", failures: 2 });
    });

    test("without a back-off lets the next one in at once, and counts no failure", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: true, backOffMs: 0 });
      expect(await acquire(store(), key, "b")).toMatchObject({ kind: "acquired", failures: 0, earlier: undefined });
    });

    test("by somebody who no longer has the lease changes nothing: it is another's now", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await current().pass(leaseMs + 5_000);
      await acquire(store(), key, "b");
      expect(await store().release(key, { attempt: "a", unused: true, backOffMs: minuteMs })).toBe(false);
      expect((await acquire(store(), key, "c")).kind).toBe("busy");
      expect(await store().release(key, { attempt: "b", unused: false, backOffMs: 0 })).toBe(true);
      expect(await acquire(store(), key, "d")).toMatchObject({ kind: "acquired", earlier: { count: 2 }, failures: 0 });
    });

    test("of nothing is false and creates nothing", async () => {
      const none = newKey();
      expect(await store().release(none, { attempt: "a", unused: false, backOffMs: minuteMs })).toBe(false);
      expect(await store().read(none)).toEqual({ kind: "absent" });
    });
  });

  describe("how long refreshes have been failing", () => {
    async function failingMs(key: GrantKey): Promise<number | undefined> {
      const read = await store().read(key);
      return read.kind === "found" ? read.row.failingMs : undefined;
    }

    /** Failed a minute ago for the first time, and just now. */
    async function failed(): Promise<GrantKey> {
      const key = await put(store(), { version: "v1", access: null });
      for (const attempt of ["a", "b"]) {
        await acquire(store(), key, attempt);
        await store().release(key, { attempt, unused: true, backOffMs: 1_000 });
        await current().pass(minuteMs);
      }
      return key;
    }

    test("is counted from the first failure", async () => {
      const key = await failed();
      const read = await failingMs(key);
      expect(read).toBeGreaterThanOrEqual(2 * minuteMs);
      expect(read).toBeLessThan(2 * minuteMs + 5_000);
      const found = await acquire(store(), key, "c");
      expect(found.kind === "acquired" && found.row.failingMs).toBeGreaterThanOrEqual(2 * minuteMs);
    });

    test("begins with a failure, not with what gave the lease back", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: true, backOffMs: 0 });
      expect(await failingMs(key)).toBeUndefined();
    });

    test.each([
      ["a refresh", (key: GrantKey) => store().commit(key, "v1", grantWrite({ version: "v2" }))],
      ["a login", (key: GrantKey) => store().put(key, grantWrite({ version: "v2" }))],
      ["a refusal", (key: GrantKey) => store().refuse(key, "v1", "invalid_grant")],
    ])("ends with %s", async (_name, end) => {
      const key = await failed();
      await end(key);
      expect(await failingMs(key)).toBeUndefined();
    });
  });

  describe("a lease that was given up while its call may be answered", () => {
    const answerMs = 50_000;

    /** Acquired by a, and given up: an answer may come for so long. */
    async function givenUp(): Promise<GrantKey> {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: false, backOffMs: 0, answerMs });
      return key;
    }

    test("keeps away whoever may not present the token beside that call, until no answer can come any more", async () => {
      const key = await givenUp();
      const busy = await acquire(store(), key, "b");
      expectAbout(busy.kind === "busy" ? busy.remainingMs : 0, answerMs);
      await current().pass(answerMs);
      expect(await acquire(store(), key, "b")).toMatchObject({ kind: "acquired", earlier: { count: 1 }, answerMs: 0 });
    });

    test("lets in whoever may, so long after the first presentation", async () => {
      const key = await givenUp();
      await current().pass(20_000);
      expect(await acquire(store(), key, "b", { overlapMs: 20_000 })).toMatchObject({ kind: "busy" });
      const second = await acquire(store(), key, "b", { overlapMs: 40_000 });
      expect(second).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
      expectAbout(second.kind === "acquired" ? second.answerMs : 0, answerMs - 20_000);
      expect(await acquire(store(), key, "c", { overlapMs: 40_000 })).toMatchObject({ kind: "busy" });
    });

    test.each([
      ["gives it back unused", { unused: true, backOffMs: 0 }],
      ["fails, and gives it back", { unused: false, backOffMs: 0 }],
    ])("stands again when the one who had the lease beside it %s", async (_name, ending) => {
      const key = await givenUp();
      await acquire(store(), key, "b", { overlapMs: answerMs });
      await store().release(key, { attempt: "b", ...ending });
      const third = await acquire(store(), key, "c");
      expectAbout(third.kind === "busy" ? third.remainingMs : 0, answerMs);
      expect(await acquire(store(), key, "c", { overlapMs: answerMs })).toMatchObject({
        kind: "acquired",
        earlier: { count: ending.unused ? 1 : 2 },
      });
    });

    test("stands also where the one who had the lease beside it vanished", async () => {
      const key = await givenUp();
      await acquire(store(), key, "b", { overlapMs: answerMs });
      await current().pass(leaseMs + 5_000);
      const third = await acquire(store(), key, "c");
      expectAbout(third.kind === "busy" ? third.remainingMs : 0, answerMs - leaseMs - 5_000);
    });

    test("does not keep an attempt whose lease the store has lost from taking it again, and stands after it", async () => {
      const key = await givenUp();
      const again = { attempt: "b", seen: "v1", leaseMs, usableMs: 0, again: true };
      expect(await store().acquire(key, again)).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
      expect(await acquire(store(), key, "c", { overlapMs: answerMs })).toMatchObject({ kind: "busy" });
      await store().release(key, { attempt: "b", unused: false, backOffMs: 0 });
      const third = await acquire(store(), key, "c");
      expectAbout(third.kind === "busy" ? third.remainingMs : 0, answerMs);
    });

    test("does not stand for what was written meanwhile", async () => {
      const key = await givenUp();
      await acquire(store(), key, "b", { overlapMs: answerMs });
      await store().commit(key, "v1", grantWrite({ version: "v2", access: null }));
      expect(await acquire(store(), key, "c", { seen: "v2" })).toMatchObject({
        kind: "acquired",
        answerMs: 0,
        earlier: undefined,
      });
    });

    test("cannot be renewed, nor given back, under that name", async () => {
      const key = await givenUp();
      expect([
        await store().renew(key, "a", leaseMs),
        await store().release(key, { attempt: "a", unused: true, backOffMs: 0 }),
      ]).toEqual([false, false]);
    });
  });

  describe("a lease, its marker and the back-off", () => {
    const endings: [name: string, end: (key: GrantKey) => Promise<unknown>][] = [
      ["a commit", (key) => store().commit(key, "v1", grantWrite({ version: "v2", access: null }))],
      ["a login", (key) => store().put(key, grantWrite({ version: "v2", access: null }))],
    ];
    test.each(endings)("end with %s, whoever has the lease", async (_name, end) => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().release(key, { attempt: "a", unused: false, backOffMs: 1 });
      await current().pass(1_000);
      await acquire(store(), key, "b");
      await end(key);
      expect(await acquire(store(), key, "c", { seen: "v2" })).toMatchObject({
        kind: "acquired",
        earlier: undefined,
        failures: 0,
        row: { version: "v2" },
      });
    });

    test("end with a refusal, so that a late commit that revives the grant begins anew", async () => {
      const key = await put(store(), { version: "v1", access: null });
      await acquire(store(), key, "a");
      await store().refuse(key, "v1", "invalid_grant");
      expect(await store().renew(key, "a", leaseMs)).toBe(false);
      await store().commit(key, "v1", grantWrite({ version: "v2", access: null }));
      expect(await acquire(store(), key, "b", { seen: "v2" })).toMatchObject({ kind: "acquired", earlier: undefined });
    });

    test("are left alone by a commit that was written before", async () => {
      const key = await put(store(), { version: "v1", access: null });
      const second = grantWrite({ version: "v2", access: null });
      await store().commit(key, "v1", second);
      await acquire(store(), key, "a", { seen: "v2" });
      expect(await store().commit(key, "v1", second)).toBe("already");
      expect((await acquire(store(), key, "b", { seen: "v2" })).kind).toBe("busy");
    });

    test("do not shorten the grant's life, nor its access token's", async () => {
      const key = await put(store(), { version: "v1" });
      await acquire(store(), key, "a");
      await store().renew(key, "a", leaseMs);
      await store().release(key, { attempt: "a", unused: false, backOffMs: minuteMs });
      const read = await store().read(key);
      expectAbout(read.kind === "found" ? read.row.life.ms : 0, 30 * 24 * hourMs);
      expect(await summaryOf(store(), key)).toMatchObject({
        version: "v1",
        state: "active",
        refresh: "refresh-1",
        access: "access-1",
      });
    });
  });
}

async function put(store: TokenStore, write: Parameters<typeof grantWrite>[0]): Promise<GrantKey> {
  const key = newKey();
  await store.put(key, grantWrite(write));
  return key;
}

function acquire(
  store: TokenStore,
  key: GrantKey,
  attempt: string,
  { seen = "v1", overlapMs = 0 } = {},
): Promise<AcquireResult> {
  return store.acquire(key, { attempt, seen, leaseMs, usableMs: 1_000, overlapMs });
}
