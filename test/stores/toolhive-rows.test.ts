import { beforeAll, describe, expect, test } from "vitest";
import type { AcquireResult } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { deleteSession, refreshRow, type ToolhiveRow, tombstone, writeRow } from "../support/toolhive-rows.ts";
import { until } from "../support/until.ts";
import { dayMs, expectAbout, grantWrite, hourMs, minuteMs, rowOf, summaryOf } from "./grants.ts";
import {
  loggedIn,
  month,
  newPlace,
  nowSeconds,
  openShared,
  type Place,
  prefixes,
  type Shared,
  stateOf,
  toolhiveRow,
} from "./toolhive-harness.ts";

const rejection = { stays: false, firstHoldMs: minuteMs, longestHoldMs: hourMs };
const leaseMs = 15_000;

for (const prefix of prefixes) {
  describe(`a row that ToolHive writes at ${prefix}`, () => {
    const opened = resources("file");
    let shared: Shared;
    let replica: Shared;
    beforeAll(async () => {
      const { url } = await opened.use(startRedis());
      shared = await openShared(opened, url, prefix);
      replica = await openShared(opened, url, prefix);
    });

    const login = (changes: Partial<ToolhiveRow> = {}) => loggedIn(shared, changes);

    const refreshed = (place: Place, number: number, changes: Partial<ToolhiveRow> = {}) =>
      refreshRow(shared.client, { ...place, row: toolhiveRow(number, changes), expected: `refresh-${number - 1}` });
    const versionOf = async ({ key }: Place) => (await rowOf(shared.store, key)).version;
    const acquire = async ({ key }: Place, attempt: string, seen = ""): Promise<AcquireResult> =>
      shared.store.acquire(key, { attempt, seen, leaseMs, usableMs: 2 * hourMs });

    test("is a grant, of the same version at every replica", async () => {
      const place = await login();
      const row = await rowOf(shared.store, place.key);
      expect(row).toMatchObject({
        ...{ state: "active", why: undefined, backOffMs: 0, failingMs: undefined, isRejected: false },
        grant: { subject: "alice" },
        life: { stated: true },
      });
      expect([row.grant.refreshToken?.reveal(), row.access?.token.reveal()]).toEqual(["refresh-1", "access-1"]);
      expectAbout(row.access?.remainingMs, hourMs);
      expectAbout(row.life.ms, 30 * dayMs + hourMs);
      expect((await rowOf(replica.store, place.key)).version).toBe(row.version);
      expect(await refreshed(place, 2)).toBe(true);
      expect(await versionOf(place)).not.toBe(row.version);
    });

    test("may lack the session's end, its user and its end, and the access token's", async () => {
      const { session_expires_at: _, ...older } = toolhiveRow(1, { expires_at: 0, user_id: "" });
      const place = newPlace(prefix);
      await writeRow(shared.client, { ...place, row: older });
      const row = await rowOf(shared.store, place.key);
      expect([row.access?.token.reveal(), row.access?.remainingMs, row.access?.lifeMs]).toEqual([
        ...["access-1", undefined, undefined],
      ]);
      expect(row.grant.subject).toBeUndefined();
      expect(row.life.ms).toBeGreaterThan(3_600 * dayMs);
      expect(await shared.client.pttl(place.row)).toBe(-1);
    });

    test("has an access token until that has ended, and an hour for the life of one that ToolHive says nothing of", async () => {
      const [ended, short] = [
        await login({ expires_at: nowSeconds() - 1 }),
        await login({ expires_at: nowSeconds() + 99 }),
      ];
      expect(await summaryOf(shared.store, ended.key)).toMatchObject({ refresh: "refresh-1", access: undefined });
      expect((await rowOf(shared.store, short.key)).access).toMatchObject({ lifeMs: hourMs });
      const yearOne = Date.parse("0001-01-01T00:00:00Z") / 1_000;
      const cases: [expiresAt: number, access: string | undefined][] = [
        [-1, undefined],
        [yearOne, "access-1"],
      ];
      for (const [expires_at, access] of cases) {
        const { key } = await login({ expires_at });
        expect(await summaryOf(shared.store, key)).toMatchObject({ access });
      }
    });

    test.each(["read", "peek"] as const)("is as it was after a %s, and so is what we keep", async (look) => {
      const place = await login();
      const version = await versionOf(place);
      const steps: (() => Promise<unknown>)[] = [
        () => acquire(place, "a", version),
        () => shared.store.release(place.key, { attempt: "a", unused: false, backOffMs: minuteMs, answerMs: minuteMs }),
        () => refreshed(place, 2),
        () => shared.client.pexpire(place.row, 5 * dayMs),
        async () => shared.store.reject(place.key, await versionOf(place), rejection),
        () => refreshed(place, 3, { expires_at: nowSeconds() - 5 }),
        async () => shared.store.refuse(place.key, await versionOf(place), "invalid_grant"),
        () => writeRow(shared.client, { ...place, row: toolhiveRow(4, { expires_at: 0, session_expires_at: 0 }) }),
        () => shared.store.revoke(place.key, "tomb"),
        () => deleteSession(shared.client, place),
      ];
      for (const step of steps) {
        await step();
        const before = await stateOf(shared.client, place);
        await shared.store[look](place.key);
        expect(await stateOf(shared.client, place)).toEqual(before);
      }
    });

    test("is peeked at as it will be taken: what we kept of the row before it is gone", async () => {
      const place = await login();
      await acquire(place, "a", await versionOf(place));
      await shared.store.release(place.key, { attempt: "a", unused: false, backOffMs: minuteMs });
      await acquire(place, "b");
      await refreshed(place, 2);
      expect(await shared.store.peek(place.key)).toMatchObject({
        row: { backOffMs: 0, failingMs: undefined },
        standing: { lease: undefined, earlier: undefined, failures: 0, answerMs: 0 },
      });
      expect(await acquire(place, "c", await versionOf(place))).toMatchObject({ kind: "acquired", earlier: undefined });
    });

    test("is adopted where ToolHive's refresh came first: our commit changes nothing, and its lease is over", async () => {
      const place = await login();
      const from = await versionOf(place);
      await acquire(place, "a", from);
      expect(await refreshed(place, 2)).toBe(true);
      expect(await shared.store.commit(place.key, from, grantWrite({ refresh: "refresh-ours" }))).toBe("superseded");
      expect(await shared.store.refuse(place.key, from, "invalid_grant")).toBe("superseded");
      expect(await shared.store.renew(place.key, "a", leaseMs)).toBe(false);
      expect(await summaryOf(shared.store, place.key)).toMatchObject({ refresh: "refresh-2", access: "access-2" });
      const moved = await shared.store.acquire(place.key, { attempt: "b", seen: from, leaseMs, usableMs: 1_000 });
      expect(moved).toMatchObject({ kind: "moved", row: { version: await versionOf(place) } });
    });

    test("is not written by ToolHive's refresh where ours came first", async () => {
      const place = await login();
      const from = await versionOf(place);
      await acquire(place, "a", from);
      expect(await shared.store.commit(place.key, from, grantWrite({ version: "v2", refresh: "refresh-ours" }))).toBe(
        "written",
      );
      expect(await refreshed(place, 2)).toBe(false);
      expect(await summaryOf(shared.store, place.key)).toMatchObject({ version: "v2", refresh: "refresh-ours" });
    });

    test("that keeps the refresh token keeps who presents it, and what was presented before", async () => {
      const place = await login();
      await acquire(place, "a", await versionOf(place));
      await shared.store.release(place.key, { attempt: "a", unused: false, backOffMs: 0 });
      await acquire(place, "b");
      await writeRow(shared.client, { ...place, row: toolhiveRow(1, { access_token: "access-2" }) });
      expect(await shared.store.peek(place.key)).toMatchObject({
        standing: { lease: { attempt: "b" }, earlier: { count: 2 } },
      });
      expect(await acquire(place, "c", await versionOf(place))).toMatchObject({ kind: "busy" });
      expect(await shared.store.release(place.key, { attempt: "b", unused: false, backOffMs: 0 })).toBe(true);
      expect(await acquire(place, "c")).toMatchObject({ kind: "acquired", earlier: { count: 2 } });
    });

    test("revives a grant that was dead, or revoked here", async () => {
      const [dead, revoked] = [await login(), await login()];
      await shared.store.refuse(dead.key, await versionOf(dead), "invalid_grant");
      expect(await summaryOf(shared.store, dead.key)).toMatchObject({ state: "dead", why: "invalid_grant" });
      await refreshed(dead, 2);
      expect(await shared.store.revoke(revoked.key, "tomb")).toBeDefined();
      expect(await shared.client.get(revoked.row)).toBe("null");
      expectAbout(await shared.client.pttl(revoked.row), hourMs);
      await writeRow(shared.client, { ...revoked, row: toolhiveRow(2) });
      for (const { key } of [dead, revoked])
        expect(await summaryOf(shared.store, key)).toMatchObject({
          state: "active",
          why: undefined,
          refresh: "refresh-2",
        });
    });

    test("is revoked for a day at least, although ToolHive's tombstone is gone after an hour", async () => {
      const place = await login();
      await shared.store.revoke(place.key, "tomb");
      await shared.client.del(place.row);
      expect(await shared.store.read(place.key)).toEqual({ kind: "revoked", version: "tomb" });
      expect(await shared.store.commit(place.key, "tomb", grantWrite())).toBe("revoked");
      expect(await shared.client.pttl(place.hash)).toBeGreaterThan(dayMs);
      expect(await shared.store.list(place.key.session, ["crm", "wiki"])).toEqual(["crm"]);
    });

    test("that is ToolHive's tombstone is a revoked grant, and nothing is written over it but a login", async () => {
      const place = await login();
      const from = await versionOf(place);
      await acquire(place, "a", from);
      await tombstone(shared.client, place);
      expect((await shared.store.read(place.key)).kind).toBe("revoked");
      expect(await acquire(place, "b")).toEqual({ kind: "revoked" });
      expect(await shared.store.commit(place.key, from, grantWrite())).toBe("deleted");
      expect(await shared.client.get(place.row)).toBe("null");
      expectAbout(await shared.client.pttl(place.row), hourMs);
      expect(await shared.store.put(place.key, grantWrite({ version: "v2" }))).toBe("written");
      expect(await summaryOf(shared.store, place.key)).toMatchObject({ version: "v2", refresh: "refresh-1" });
    });

    test("that ToolHive has deleted is gone: no refresh brings it back, and a login finds nothing of it", async () => {
      const place = await login();
      const from = await versionOf(place);
      await acquire(place, "a", from);
      await deleteSession(shared.client, place);
      expect(await shared.store.read(place.key)).toEqual({ kind: "absent" });
      expect(await shared.store.commit(place.key, from, grantWrite())).toBe("deleted");
      expect(await shared.store.release(place.key, { attempt: "a", unused: false, backOffMs: minuteMs })).toBe(false);
      expect([await shared.client.exists(place.row), await shared.client.exists(place.sessionIndex)]).toEqual([0, 0]);
      await writeRow(shared.client, { ...place, row: toolhiveRow(1) });
      expect(await acquire(place, "b", await versionOf(place))).toMatchObject({ kind: "acquired", earlier: undefined });
    });

    test("is rejected without a change to it; its successor's rejection counts as the second, ToolHive's too", async () => {
      const place = await login();
      const text = await shared.client.get(place.row);
      expect(await shared.store.reject(place.key, await versionOf(place), rejection)).toEqual({ kind: "rejected" });
      expect(await shared.client.get(place.row)).toBe(text);
      expect(await rowOf(shared.store, place.key)).toMatchObject({ isRejected: true, access: undefined });
      await refreshed(place, 2);
      expect((await rowOf(shared.store, place.key)).isRejected).toBe(false);
      expect(await summaryOf(shared.store, place.key)).toMatchObject({ access: "access-2" });
      expect((await shared.store.reject(place.key, await versionOf(place), rejection)).kind).toBe("held");
      await refreshed(place, 3);
      await refreshed(place, 4);
      await acquire(place, "a", await versionOf(place));
      await refreshed(place, 5);
      await acquire(place, "b", await versionOf(place));
      expect(await shared.store.reject(place.key, await versionOf(place), rejection)).toEqual({ kind: "rejected" });
    });

    test("is heard of by other replicas when we change it, by the grant that it is", async () => {
      const heard: unknown[] = [];
      replica.store.listen({
        ...{ ended() {}, heard: () => void heard.push("beat"), gap() {}, tellsHistory() {} },
        changed: (change) => void heard.push(change),
      });
      await until("the subscription", () => heard.length > 0);
      const place = await login();
      const from = await versionOf(place);
      await shared.store.commit(place.key, from, grantWrite({ version: "v2" }));
      await until("the change", () => heard.some((each) => each !== "beat"));
      expect(heard).toContainEqual({ ...place.key, version: "v2" });
    });

    test("is listed by ToolHive's index, and by what is there without it", async () => {
      const place = await login();
      const wiki = newPlace(prefix, "wiki", place.sid);
      await writeRow(shared.client, { ...wiki, row: toolhiveRow(1) });
      const other = await login();
      await shared.client.sadd(place.sessionIndex, other.row, `${prefix}upstream:${place.sid}:gone`, "any text");
      expect([...(await shared.store.list(place.key.session, []))].sort()).toEqual(["crm", "wiki"]);
      await shared.client.srem(place.sessionIndex, place.row);
      expect([...(await shared.store.list(place.key.session, ["crm", "mail"]))].sort()).toEqual(["crm", "wiki"]);
    });

    test("has beside it no token, and nothing that outlives it by more than a month", async () => {
      const [place, endless] = [await login(), await login({ expires_at: 0, session_expires_at: 0 })];
      for (const each of [place, endless]) {
        await acquire(each, "a", await versionOf(each));
        const write = grantWrite({
          refresh: "refresh-2",
          access: "access-2",
          remainingMs: each === place ? hourMs : null,
        });
        await shared.store.release(each.key, { attempt: "a", unused: true, backOffMs: 1 });
        const life = await shared.client.ttl(each.hash);
        expect(Math.abs(life - (each === place ? month + 3_600 : month))).toBeLessThan(5);
        await shared.store.commit(each.key, await versionOf(each), write);
        expect(JSON.stringify(await shared.client.hgetall(each.hash))).not.toMatch(/(?:access|refresh)-\d|id-token/);
        expect(await shared.client.ttl(each.hash)).toBeGreaterThan(month - 5);
      }
    });
  });
}
