import type { Redis } from "ioredis";
import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startWorld } from "../tokens/world.ts";
import { grantBefore } from "./before/grant-before.ts";
import { type RowBefore, rowsBefore, sealedSession } from "./before/rows.ts";
import { storeBefore } from "./before/store-before.ts";
import { dayMs, expectAbout, grantWrite, newKey, summaryOf } from "./grants.ts";
import { keyRing } from "./key-ring.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";

const opened = resources("file");
let url: string;
let client: Redis;
let store: TokenStore;
beforeAll(async () => {
  ({ url } = await opened.use(startRedis({ args: ["--enable-debug-command", "local"] })));
  client = await openClient(opened, url);
  ({ store } = await openStore(opened, url));
});

const request = (attempt: string) => ({ attempt, seen: "v1", leaseMs: 15_000, usableMs: 1_000 });

/** A row of the version before, in Redis. */
async function lay({ fields, instants = {} }: RowBefore, key: GrantKey = newKey()): Promise<GrantKey> {
  const name = `bearerswap:{${key.session}}:grant:${key.upstream}`;
  const now = Date.now();
  await client.hset(name, {
    ...fields,
    ...Object.fromEntries(Object.entries(instants).map(([field, ms]) => [field, now + ms])),
  });
  await client.pexpire(name, 30 * dayMs);
  return key;
}

describe("a row that the version before wrote", () => {
  test("of a grant in use is read, token and all, and refreshed", async () => {
    const key = await lay(rowsBefore.active);
    expect(await summaryOf(store, key)).toMatchObject({
      version: "v1",
      state: "active",
      refresh: "refresh-1",
      access: "access-1",
    });
    expect(await store.acquire(key, request("a"))).toMatchObject({
      kind: "acquired",
      earlier: undefined,
      failures: 0,
      answerMs: 0,
    });
    expect(await store.commit(key, "v1", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
    expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
  });

  test("sealed is opened", async () => {
    const key = await lay(rowsBefore.sealed, { session: sealedSession, upstream: "crm" });
    const { store: sealing } = await openStore(opened, url, { encryption: keyRing(["k1"]) });
    expect(await summaryOf(sealing, key)).toMatchObject({ version: "v1", refresh: "refresh-1", access: "access-1" });
  });

  test("of a dead grant says why, and a login revives it", async () => {
    const key = await lay(rowsBefore.dead);
    expect(await store.read(key)).toMatchObject({ kind: "found", row: { state: "dead", why: "invalid_grant" } });
    expect(await store.put(key, grantWrite({ version: "login" }), "v1")).toBe("written");
    expect(await store.read(key)).toMatchObject({ kind: "found", row: { state: "active", why: undefined } });
  });

  test("of a dead grant is revived by a late refresh of its version", async () => {
    const key = await lay(rowsBefore.dead);
    expect(await store.commit(key, "v1", grantWrite({ version: "v2" }))).toBe("written");
    expect(await store.read(key)).toMatchObject({ kind: "found", row: { state: "active", version: "v2" } });
  });

  test("of a revoked session keeps refreshes out, and a login takes its place", async () => {
    const key = await lay(rowsBefore.revoked);
    expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
    expect([await store.acquire(key, request("a")), await store.commit(key, "v1", grantWrite())]).toEqual([
      { kind: "revoked" },
      "revoked",
    ]);
    expect(await store.put(key, grantWrite({ version: "login" }), "tomb")).toBe("written");
  });

  test("keeps its lease, and tells of the attempt once that has run out", async () => {
    const key = await lay(rowsBefore.leased);
    const busy = await store.acquire(key, request("a"));
    expectAbout(busy.kind === "busy" ? busy.remainingMs : 0, 15_000);
    await letTimePass(client, 16_000);
    expect(await store.acquire(key, request("a"))).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
  });

  test("keeps its marker", async () => {
    const key = await lay(rowsBefore.marked);
    expect(await store.acquire(key, request("a"))).toMatchObject({
      kind: "acquired",
      earlier: { count: 1 },
      failures: 0,
    });
  });

  test("of a call that was given up keeps everybody away until no answer can come", async () => {
    const key = await lay(rowsBefore.givenUp);
    await letTimePass(client, 1_000);
    const busy = await store.acquire(key, request("a"));
    expectAbout(busy.kind === "busy" ? busy.remainingMs : 0, 49_000);
    await letTimePass(client, 49_000);
    expect(await store.acquire(key, request("a"))).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
  });

  test("says nothing of the server's history: it is acquired at once, and has one from then on", async () => {
    const key = await lay(rowsBefore.active);
    expect((await store.acquire(key, { ...request("a"), quietMs: 3_000 })).kind).toBe("acquired");
    await store.release(key, { attempt: "a", unused: true, backOffMs: 0 });
    await client.call("DEBUG", "CHANGE-REPL-ID");
    expect((await store.acquire(key, { ...request("b"), quietMs: 3_000 })).kind).toBe("busy");
  });

  test("keeps its back-off and its count of failures", async () => {
    const key = await lay(rowsBefore.backedOff);
    const waiting = await store.acquire(key, request("a"));
    expectAbout(waiting.kind === "back_off" ? waiting.remainingMs : 0, 20_000);
    await letTimePass(client, 20_000);
    expect(await store.acquire(key, request("a"))).toMatchObject({
      kind: "acquired",
      earlier: { count: 1 },
      failures: 1,
      row: { failingMs: undefined },
    });
  });
});

describe("the version before and this one, on one Redis", () => {
  async function both() {
    const key = newKey();
    await store.put(key, grantWrite({ version: "v1", access: null }));
    return { key, before: storeBefore(store, client) };
  }

  test("keep each other's lease", async () => {
    const { key, before } = await both();
    expect((await before.acquire(key, request("old"))).kind).toBe("acquired");
    expect((await store.acquire(key, request("new"))).kind).toBe("busy");
    await before.release(key, { attempt: "old", unused: true, backOffMs: 0 });
    expect(await store.acquire(key, request("new"))).toMatchObject({ kind: "acquired", earlier: undefined });
    expect((await before.acquire(key, request("old"))).kind).toBe("busy");
  });

  test("read what the other writes; what the one before writes has no history", async () => {
    const { key, before } = await both();
    expect(await before.acquire(key, request("old"))).toMatchObject({ kind: "acquired", row: { version: "v1" } });
    expect(await before.commit(key, "v1", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
    expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
    await client.call("DEBUG", "CHANGE-REPL-ID");
    const { kind } = await store.acquire(key, { ...request("new"), seen: "v2", quietMs: 3_000 });
    expect(kind).toBe("acquired");
  });

  test("a grant that keeps its client is read by the one before without it, and by this one as it was", async () => {
    const key = newKey();
    const method = "client_secret_post";
    const bound = { issuer: "https://as.example.com", id: "c1", method, secret: new Secret("s1") } as const;
    const { grant, ...write } = grantWrite({ version: "v1" });
    await store.put(key, { ...write, grant: { ...grant, client: bound } });
    const text = (await client.hget(`bearerswap:{${key.session}}:grant:${key.upstream}`, "grant")) ?? "";
    expect(grantBefore.parse(JSON.parse(text))).toMatchObject({ refreshToken: "refresh-1" });
    const read = await store.read(key);
    const kept = read.kind === "found" ? read.row.grant.client : undefined;
    expect([kept, kept?.secret?.reveal()]).toEqual([bound, "s1"]);
  });

  test("a grant that keeps its ID token is read by the one before without it, and by this one as it was", async () => {
    const key = newKey();
    const { grant, ...write } = grantWrite({ version: "v1" });
    await store.put(key, { ...write, grant: { ...grant, idToken: { token: new Secret("id-1"), until: 1_000 } } });
    const text = (await client.hget(`bearerswap:{${key.session}}:grant:${key.upstream}`, "grant")) ?? "";
    expect(grantBefore.parse(JSON.parse(text))).toMatchObject({ refreshToken: "refresh-1" });
    const read = await store.read(key);
    const { idToken } = read.kind === "found" ? read.row.grant : {};
    expect([idToken?.token.reveal(), idToken?.until]).toEqual(["id-1", 1_000]);
    const before = storeBefore(store, client);
    expect(await before.acquire(key, request("old"))).toMatchObject({ kind: "acquired", row: { version: "v1" } });
  });

  test("a row that this one keeps everybody from, as the server's history is another, the one before leaves alone", async () => {
    const { key, before } = await both();
    await client.call("DEBUG", "CHANGE-REPL-ID");
    expect((await store.acquire(key, { ...request("new"), quietMs: 3_000 })).kind).toBe("busy");
    expect((await before.acquire(key, request("old"))).kind).toBe("busy");
  });

  test("see each other's marker and back-off", async () => {
    const { key, before } = await both();
    await before.acquire(key, request("old"));
    await before.release(key, { attempt: "old", unused: false, backOffMs: 5_000 });
    expect((await store.acquire(key, request("new"))).kind).toBe("back_off");
    await letTimePass(client, 5_000);
    expect(await store.acquire(key, request("new"))).toMatchObject({
      kind: "acquired",
      earlier: { count: 1 },
      failures: 1,
    });
    await store.release(key, { attempt: "new", unused: false, backOffMs: 5_000 });
    expect((await before.acquire(key, request("old"))).kind).toBe("back_off");
    await letTimePass(client, 5_000);
    expect(await before.acquire(key, request("old"))).toMatchObject({
      kind: "acquired",
      earlier: { count: 2 },
      failures: 2,
    });
  });

  test("a call that this version has given up keeps the one before away until no answer can come", async () => {
    const { key, before } = await both();
    await store.acquire(key, request("new"));
    await store.release(key, { attempt: "new", unused: false, backOffMs: 0, answerMs: 50_000 });
    const busy = await before.acquire(key, request("old"));
    expectAbout(busy.kind === "busy" ? busy.remainingMs : 0, 50_000);
    await letTimePass(client, 50_000);
    expect(await before.acquire(key, request("old"))).toMatchObject({ kind: "acquired", earlier: { count: 1 } });
  });

  test("a refusal by the one before ends what this one had noted, but for what a further refresh clears", async () => {
    const { key, before } = await both();
    await store.acquire(key, request("new"));
    await store.release(key, { attempt: "new", unused: true, backOffMs: 1_000 });
    expect(await before.refuse(key, "v1", "invalid_grant")).toBe("dead");
    expect(await store.commit(key, "v1", grantWrite({ version: "v2", access: null }))).toBe("written");
    expect(await store.acquire(key, { ...request("a"), seen: "v2" })).toMatchObject({
      kind: "acquired",
      failures: 0,
      row: { failingMs: undefined },
    });
  });

  test("refresh one session in turn: each refresh token is presented once", async () => {
    const { store: one } = await openStore(opened, url);
    const { store: two } = await openStore(opened, url);
    const world = await startWorld(opened, { store: one, heartbeats: "real" });
    const other = world.replica({ store: storeBefore(two, client) });
    await world.login("alice", { remainingMs: 0 });
    for (let round = 2; round <= 7; round++) {
      const answers = await Promise.all([world.fresh(), other.fresh(), world.fresh(), other.fresh()]);
      expect(new Set(answers)).toEqual(new Set([`access-${round}`]));
      await letTimePass(client, 3_600_000);
      await world.clock.advance(3_600_000);
    }
    expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([6, 0]);
  });
});
