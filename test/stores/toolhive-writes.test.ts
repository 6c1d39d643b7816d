import { inspect } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { shortHash } from "../../src/stores/grant.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { type ToolhiveRow, writeRow } from "../support/toolhive-rows.ts";
import { dayMs, grantWrite, hourMs, minuteMs, rowOf, summaryOf, type WriteOptions } from "./grants.ts";
import {
  hour,
  loggedIn,
  month,
  newPlace,
  nowSeconds,
  openShared,
  type Place,
  prefixes,
  type Shared,
  toolhiveRow,
} from "./toolhive-harness.ts";

for (const prefix of prefixes) {
  describe(`a row that we write at ${prefix}`, () => {
    const opened = resources("file");
    let shared: Shared;
    beforeAll(async () => {
      const { url } = await opened.use(startRedis());
      shared = await openShared(opened, url, prefix);
    });

    const login = (changes: Partial<ToolhiveRow> = {}) => loggedIn(shared, changes);

    const textOf = async ({ row }: Place) => (await shared.client.get(row)) ?? "";
    const jsonOf = async (place: Place) => JSON.parse(await textOf(place)) as ToolhiveRow;
    async function commit(place: Place, options: WriteOptions): Promise<void> {
      const { grant, version } = await rowOf(shared.store, place.key);
      const write = grantWrite({ subject: grant.subject ?? "", ...options });
      expect(await shared.store.commit(place.key, version, write)).toBe("written");
    }
    /** Seconds, to five less: the test takes its time. */
    async function expectLife(key: string, seconds: number): Promise<void> {
      const left = await shared.client.ttl(key);
      expect(left).toBeLessThanOrEqual(seconds);
      expect(left).toBeGreaterThan(seconds - 5);
    }

    test("has new tokens and their end, in whole seconds, and all else as ToolHive wrote it", async () => {
      const place = await login();
      const before = await jsonOf(place);
      await commit(place, { refresh: "refresh-2", access: 'access-"2"/\\é', remainingMs: 2 * hourMs + 999 });
      const { expires_at, ...after } = await jsonOf(place);
      const { expires_at: _, ...rest } = before;
      expect(after).toEqual({ ...rest, refresh_token: "refresh-2", access_token: 'access-"2"/\\é' });
      expect(Number.isInteger(expires_at)).toBe(true);
      expect(Math.abs(expires_at - nowSeconds() - 2 * hour)).toBeLessThan(5);
      expect(Object.keys(await jsonOf(place))).toEqual(Object.keys(before));
    });

    test("keeps every byte of what newer versions of ToolHive may add", async () => {
      const place = newPlace(prefix);
      const more =
        '"large":12345678901234567890,"exact":1.10,"list":[],"map":{},"none":null,"deep":{"a":[{"refresh_token":"x\\"}"},[]]},' +
        '"escaped":"\\u003c\\/\\\\","spaced" : [ 1 , 2 ] ,"brace":"}","bytes":"';
      const parts = (token: string, end: number) =>
        `{"access_token":"a-${token}","expires_at":${end},${more}\xff\xfe","refresh_token":"r-${token}", "user_id":"alice" }`;
      await shared.client.set(place.row, Buffer.from(parts("1", 9_999_999_999), "latin1"));
      await commit(place, { refresh: "r-2", access: "a-2" });
      const { expires_at } = await jsonOf(place);
      expect((await shared.client.getBuffer(place.row))?.toString("latin1")).toBe(parts("2", expires_at));
    });

    test("gains what older rows lack of tokens' members, and nothing else", async () => {
      const place = newPlace(prefix);
      await shared.client.set(place.row, '{"access_token":"a","refresh_token":"r","expires_at":0}');
      await commit(place, { refresh: "r-2", access: "a-2", remainingMs: null });
      expect(JSON.parse(await textOf(place))).toEqual({
        ...{ access_token: "a-2", refresh_token: "r-2", expires_at: 0, user_id: "" },
      });
    });

    test("lives a month longer than its access token, else than its session, else for ever", async () => {
      const [place, endless] = [await login(), await login({ session_expires_at: 0 })];
      await commit(place, { remainingMs: 5 * hourMs });
      await expectLife(place.row, month + 5 * hour);
      await commit(place, { remainingMs: null });
      await expectLife(place.row, month + 7 * 86_400);
      expect((await jsonOf(place)).expires_at).toBe(0);
      await commit(endless, { remainingMs: null });
      expect(await shared.client.ttl(endless.row)).toBe(-1);
      await commit(endless, { remainingMs: hourMs });
      await expectLife(endless.row, month + hour);
    });

    test("lives a second at least", async () => {
      const place = await login({ session_expires_at: nowSeconds() - 2 * month });
      await commit(place, { remainingMs: null });
      expect(await shared.client.pttl(place.row)).toBeGreaterThan(0);
      expect(await shared.client.pttl(place.row)).toBeLessThanOrEqual(1_000);
    });

    test("is in ToolHive's indexes, whose life is never shortened, nor given to what has none", async () => {
      const place = await login();
      const users = `${prefix}user:upstream:alice`;
      await shared.client.srem(users, place.row);
      await shared.client.del(place.sessionIndex);
      await commit(place, { remainingMs: 3 * hourMs });
      expect([await shared.client.sismember(users, place.row), await shared.client.ttl(users)]).toEqual([1, -1]);
      expect(await shared.client.smembers(place.sessionIndex)).toEqual([place.row]);
      await expectLife(place.sessionIndex, month + 3 * hour);
      await commit(place, { remainingMs: hourMs });
      await expectLife(place.sessionIndex, month + 3 * hour);
      await commit(place, { remainingMs: 4 * hourMs });
      await expectLife(place.sessionIndex, month + 4 * hour);
      await shared.client.persist(place.sessionIndex);
      await commit(place, { remainingMs: hourMs });
      expect(await shared.client.ttl(place.sessionIndex)).toBe(-1);
    });

    test("without an end is in an index without an end", async () => {
      const place = await login({ session_expires_at: 0 });
      await commit(place, { remainingMs: null });
      expect(await shared.client.ttl(place.sessionIndex)).toBe(-1);
    });

    test("is written although its indexes cannot be, which is logged, and repaired by the next refresh", async () => {
      const place = await login();
      await shared.client.set(place.sessionIndex, "no set");
      await commit(place, { refresh: "refresh-2" });
      expect((await jsonOf(place)).refresh_token).toBe("refresh-2");
      expect(shared.log()).toContain('"event":"index_not_written"');
      expect(shared.log()).not.toContain(place.sid);
      await shared.client.del(place.sessionIndex);
      await commit(place, { refresh: "refresh-3" });
      expect(await shared.client.smembers(place.sessionIndex)).toEqual([place.row]);
    });

    test("by an operator has all members, and where there was one, keeps what is not of the login", async () => {
      const [fresh, place] = [newPlace(prefix), await login()];
      for (const { key } of [fresh, place])
        await shared.store.put(key, grantWrite({ subject: "alice", refresh: "refresh-2", access: "access-2" }));
      const { expires_at, ...written } = await jsonOf(fresh);
      expect(written).toEqual({
        ...{ provider_id: "crm", access_token: "access-2", refresh_token: "refresh-2", id_token: "" },
        ...{ session_expires_at: 0, user_id: "alice", upstream_subject: "", client_id: "" },
      });
      expect(Math.abs(expires_at - nowSeconds() - hour)).toBeLessThan(5);
      expect(await jsonOf(place)).toMatchObject({
        ...{ refresh_token: "refresh-2", id_token: "id-token", upstream_subject: "alice@crm", client_id: "client" },
      });
    });

    test("of another user is in that user's index alone, and keeps nothing that names the former one", async () => {
      const place = await login();
      await shared.store.put(place.key, grantWrite({ subject: "bob" }));
      expect(await jsonOf(place)).toMatchObject({
        user_id: "bob",
        id_token: "",
        upstream_subject: "",
        client_id: "client",
      });
      const has = (user: string) => shared.client.sismember(`${prefix}user:upstream:${user}`, place.row);
      expect([await has("alice"), await has("bob")]).toEqual([0, 1]);
      await shared.store.put(place.key, grantWrite());
      expect([await has("bob"), (await jsonOf(place)).user_id]).toEqual([0, ""]);
      expect((await rowOf(shared.store, place.key)).grant.subject).toBeUndefined();
    });

    test("with a refresh token alone is one whose access token has ended, for ToolHive too", async () => {
      const place = await login();
      await shared.store.put(place.key, grantWrite({ access: null }));
      const { access_token, expires_at } = await jsonOf(place);
      expect(access_token).toBe("");
      expect(Math.abs(expires_at - nowSeconds())).toBeLessThan(5);
    });

    test("keeps its scope, its login and its tokens' life, which rows have no place for, until ToolHive writes", async () => {
      const place = await login();
      await commit(place, { remainingMs: 10 * minuteMs });
      const ours = await rowOf(shared.store, place.key);
      expect(ours.grant).toMatchObject({ scope: "read write", createdAt: 1_000, refreshedAt: 2_000 });
      expect(ours.access?.lifeMs).toBe(hourMs);
      const row = toolhiveRow(3);
      await writeRow(shared.client, { ...place, row });
      const theirs = await rowOf(shared.store, place.key);
      expect(theirs.grant.scope).toBeUndefined();
      // One login is one instant, whoever refreshes.
      expect(theirs.grant.createdAt).toBe(row.session_expires_at * 1_000);
      expect(theirs.version).not.toBe(ours.version);
    });
  });
}

describe("a row that cannot be read", () => {
  const [prefix] = prefixes;
  const opened = resources("file");
  let shared: Shared;
  beforeAll(async () => {
    const { url } = await opened.use(startRedis());
    shared = await openShared(opened, url, prefix);
  });

  const nameOf = ({ key }: Place) => `session ${shortHash(key.session)}'s ${prefix}upstream:…:crm`;
  const sealed = '{"v":1,"kid":"k1","edek":"c2VjcmV0LTE=","ct":"c2VjcmV0LTI="}';
  const cases: [what: string, text: string, code: string][] = [
    ["cut off", '{"access_token":"access-secret","refresh_token":"refresh-sec', "store_corrupt"],
    ["empty", "", "store_corrupt"],
    ["no object", '["refresh-secret"]', "store_corrupt"],
    ["a number", "7", "store_corrupt"],
    ["an object without tokens", "{}", "store_corrupt"],
    ["of another shape", JSON.stringify({ ...toolhiveRow(1), refresh_token: ["refresh-secret"] }), "store_corrupt"],
    ["with a broken instant", JSON.stringify({ ...toolhiveRow(1), expires_at: 1.5 }), "store_corrupt"],
    ["encrypted by ToolHive", sealed, "store_sealed"],
  ];

  test.each(cases)("%s: is an error of the store, never a missing grant, and left as it is", async (_, text, code) => {
    const place = newPlace(prefix);
    await shared.client.set(place.row, text, "PX", 5 * dayMs);
    for (const look of [shared.store.read, shared.store.peek]) {
      const error = await look(place.key).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, message: expect.stringContaining(nameOf(place)) });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(place.sid);
    }
    const request = { attempt: "a", seen: "", leaseMs: 1_000, usableMs: 0 };
    await expect(shared.store.acquire(place.key, request)).rejects.toMatchObject({ code });
    expect(await shared.store.commit(place.key, "v1", grantWrite())).toBe("superseded");
    expect(await shared.store.refuse(place.key, "v1", "invalid_grant")).toBe("superseded");
    expect(await shared.store.put(place.key, grantWrite(), "v1")).toBe("superseded");
    expect(await shared.client.get(place.row)).toBe(text);
    expect(await shared.store.list(place.key.session, ["crm"])).toEqual(["crm"]);
  });

  test.each(cases)("%s: is replaced by a login, and by a revocation", async (_, text) => {
    const [first, second] = [newPlace(prefix), newPlace(prefix)];
    for (const place of [first, second]) await shared.client.set(place.row, text);
    await shared.store.put(first.key, grantWrite({ version: "v2", refresh: "refresh-2" }));
    expect(await summaryOf(shared.store, first.key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
    await shared.store.revoke(second.key, "tomb");
    expect(await shared.store.read(second.key)).toEqual({ kind: "revoked", version: "tomb" });
    expect(await shared.client.get(second.row)).toBe("null");
  });

  test.each(["row", "hash"] as const)("since its %s is of another type: nobody overwrites it", async (which) => {
    const place = newPlace(prefix);
    await writeRow(shared.client, { ...place, row: toolhiveRow(1) });
    await shared.client.del(place[which]);
    await shared.client.sadd(place[which], "somebody else's");
    const calls = [
      () => shared.store.read(place.key),
      () => shared.store.put(place.key, grantWrite()),
      () => shared.store.commit(place.key, "v1", grantWrite()),
      () => shared.store.refuse(place.key, "v1", "invalid_grant"),
      () => shared.store.revoke(place.key, "tomb"),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({
        ...{ code: "store_corrupt", message: expect.stringContaining(nameOf(place)) },
      });
    expect(await shared.client.smembers(place[which])).toEqual(["somebody else's"]);
  });
});
