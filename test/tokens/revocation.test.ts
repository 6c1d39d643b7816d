import { describe, expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import type { Script } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { refreshing } from "./hanging.ts";
import { startWorld, type World, type WorldOptions } from "./world.ts";

const opened = resources();

describe("a logout", () => {
  test("while a refresh is under way: the refresh that finishes after it resurrects no session", async () => {
    const { world, gate, waiting } = await refreshing(opened);
    expect(await world.tokens.revoke(world.key())).toBe(true);
    expect(await waiting).toBe("missing");
    gate.release();
    await world.tokens.settled();
    expect([world.cached(), await world.fresh(), await world.storedRefreshToken()]).toEqual([
      undefined,
      "missing",
      "revoked",
    ]);
    expect(world.metrics.endings).toEqual(["revoked expired 0"]);
  });

  test("on another replica has the same effect", async () => {
    const { world, gate, waiting } = await refreshing(opened);
    await world.replica().tokens.revoke(world.key());
    gate.release();
    expect(await waiting).toBe("missing");
    expect([world.cached(), await world.fresh(), await world.storedRefreshToken()]).toEqual([
      undefined,
      "missing",
      "revoked",
    ]);
  });

  test("while new tokens wait for the store: they are dropped, not written over the tombstone", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.down.add("commit");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.tokens.revoke(world.key());
    world.store.down.clear();
    await world.clock.advance(1_000);
    await world.tokens.settled();
    expect([await waiting, world.cached(), await world.fresh(), await world.storedRefreshToken()]).toEqual([
      "missing",
      undefined,
      "missing",
      "revoked",
    ]);
  });

  test("takes the token out of the cache, also where a read that saw it is still under way", async () => {
    const world = await startWorld(opened);
    await world.login();
    expect([await world.fresh(), world.cached()]).toEqual(["access-1", "access-1"]);
    const gate = world.store.holdReply("read");
    const reading = world.fresh();
    await gate.arrived();
    await world.tokens.revoke(world.key());
    expect(world.cached()).toBeUndefined();
    gate.release();
    expect(await reading).toBe("missing");
    await world.tokens.settled();
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "missing"]);
  });

  test("that the store fails leaves nothing cached and presents no refresh token twice: whether it took place is unknown", async () => {
    const { world, gate, waiting } = await refreshing(opened);
    world.store.down.add("revoke");
    await expect(world.tokens.revoke(world.key())).rejects.toMatchObject({ code: "store_unavailable" });
    const later = world.fresh();
    gate.release();
    expect([await waiting, await later, await world.storedRefreshToken()]).toEqual([
      "access-2",
      "access-2",
      "refresh-2",
    ]);
    expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([1, 0]);
  });
});

describe("the tokens that a provider issues after a logout", () => {
  /** Refreshes while the session ends; `options` may break the revocation at the provider. */
  async function endedMeanwhile({
    by = "this one",
    response = undefined as Script | undefined,
    options = {} as WorldOptions,
  } = {}) {
    const world = (await startWorld(opened, options)) as World;
    await world.login("alice", { remainingMs: 0 });
    if (response !== undefined) world.endpoint.respondNext(response);
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    await (by === "this one" ? world : world.replica()).tokens.revoke(world.key());
    gate.release();
    expect(await waiting).toBe("missing");
    await world.tokens.settled();
    return world;
  }

  test.each(["this one", "another"])("by %s are ended at the provider: nobody is left who could", async (by) => {
    const world = await endedMeanwhile({ by });
    await until("the revocation", () => world.endpoint.revoked.length > 0);
    expect([
      world.endpoint.revoked,
      world.endpoint.tokens.isActive("access-2"),
      world.events("revocation_failed"),
    ]).toEqual([["refresh-2"], false, []]);
  });

  test("are ended by the access token where that is all there is", async () => {
    const world = await endedMeanwhile({ response: { body: { access_token: "access-new", token_type: "Bearer" } } });
    await until("the revocation", () => world.endpoint.revoked.length > 0);
    expect(world.endpoint.revoked).toEqual(["access-new"]);
  });

  test("are ended also where the store took notice of them late", async () => {
    const world = (await startWorld(opened)) as World;
    await world.login("alice", { remainingMs: 0 });
    world.store.down.add("commit");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.replica().tokens.revoke(world.key());
    expect(world.endpoint.revoked).toEqual([]);
    world.store.down.clear();
    await world.clock.advance(1_000);
    await until("the revocation", () => world.endpoint.revoked.length > 0);
    expect([await waiting, world.endpoint.revoked]).toEqual(["missing", ["refresh-2"]]);
  });

  test("are not ended where the session was not: a refresh, and a login in its place", async () => {
    const world = (await startWorld(opened)) as World;
    await world.login("alice", { remainingMs: 0 });
    await world.fresh();
    await world.clock.advance(3_600_000);
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    await world.login();
    gate.release();
    expect(await waiting).toBe("access-4");
    await world.tokens.settled();
    await world.clock.advance(3_600_000);
    const last = world.endpoint.hold();
    const ended = world.fresh();
    await last.arrived();
    await world.tokens.revoke(world.key());
    last.release();
    expect(await ended).toBe("missing");
    await until("the revocation", () => world.endpoint.revoked.length > 0);
    expect(world.endpoint.revoked).toEqual(["refresh-5"]);
  });

  test.each<[string, string | undefined, RegExp]>([
    ["names no endpoint for that", undefined, /names no revocation endpoint/],
    ["does not answer", "http://127.0.0.1:1/revoke", /not sent|ECONNREFUSED/],
  ])("stay valid where the provider %s, and the log says so, without them", async (_, revocationEndpoint, reason) => {
    const world = await endedMeanwhile({ options: { provider: { revocationEndpoint } } });
    await until("the word", () => world.events("revocation_failed").length > 0);
    expect(world.events("revocation_failed")).toMatchObject([
      { level: "warn", upstream: "crm", reason: expect.stringMatching(reason) },
    ]);
    expect(world.log()).not.toMatch(/(access|refresh)-\d/);
    expect(world.endpoint.tokens.isActive("access-2")).toBe(true);
  });
});

describe("a new login", () => {
  test("frees at once those who wait for a slow refresh of the old one: they time out over nothing otherwise", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh()];
    await gate.arrived();
    await world.login();
    expect(await Promise.all(waiting)).toEqual(["access-3", "access-3"]);
    gate.release();
    await world.tokens.settled();
    expect([world.cached(), await world.storedRefreshToken()]).toEqual(["access-3", "refresh-3"]);
  });

  test("as somebody else is not overwritten by the old account's refresh, also if that commits last", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0, subject: "first" });
    world.store.down.add("commit");
    const waiting = world.fresh({ waitMs: 100 });
    await until("the first write", () => world.store.calls.commit === 1);
    await world.tokens.revoke(world.key());
    await world.login("alice", { subject: "second" });
    world.store.down.clear();
    await world.clock.advance(1_000);
    await world.tokens.settled();
    expect(await waiting).not.toBe("access-2");
    expect([await world.fresh(), await world.storedRefreshToken()]).toEqual(["access-3", "refresh-3"]);
    expect(await world.store.read(world.key())).toMatchObject({ row: { grant: { subject: "second" } } });
  });

  test("on another replica is adopted by a refresh of the old one", async () => {
    const { world, gate, waiting } = await refreshing(opened);
    await world.replica().login();
    gate.release();
    expect([await waiting, world.cached(), await world.storedRefreshToken()]).toEqual([
      "access-3",
      "access-3",
      "refresh-3",
    ]);
  });

  test("is not hidden by a read of the old one that is still under way", async () => {
    const world = await startWorld(opened);
    await world.login();
    const gate = world.store.holdReply("read");
    const reading = world.fresh();
    await gate.arrived();
    await world.login();
    gate.release();
    expect([await reading, world.cached()]).toEqual(["access-2", "access-2"]);
  });
});

test("a grant that the store lost is written anew by the refresh that was under way: data loss is no logout", async () => {
  const clock = manualClock();
  const stores = [createMemoryStore({ clock, maxGrants: 10 }), createMemoryStore({ clock, maxGrants: 10 })] as const;
  let failedOver = false;
  const current = () => stores[failedOver ? 1 : 0];
  const store: TokenStore = {
    ...stores[0],
    read: (key) => current().read(key),
    put: (key, write) => current().put(key, write),
    commit: (key, from, write) => current().commit(key, from, write),
  };
  const world = await startWorld(opened, { clock, store });
  await world.login("alice", { remainingMs: 0, subject: "alice@example.com" });
  const gate = world.endpoint.hold();
  const waiting = world.fresh();
  await gate.arrived();
  failedOver = true;
  gate.release();
  expect(await waiting).toBe("access-2");
  expect(await world.store.read(world.key())).toMatchObject({
    row: { state: "active", grant: { subject: "alice@example.com" } },
  });
  expect(await world.replica().fresh()).toBe("access-2");
});

describe("the end of a grant that the store does not answer", () => {
  const meant = () => true;

  test("is found out afterwards, where it was carried out: its tokens can be ended at the provider then", async () => {
    const world = await startWorld(opened);
    await world.login("alice");
    world.store.deaf.add("revoke");
    const end = await world.tokens.endIf(world.key(), meant);
    expect(end).toMatchObject({ kind: "unknown", row: { grant: { refreshToken: expect.anything() } } });
    expect([end.kind === "unknown" && (await end.isEnded), await world.fresh()]).toEqual([true, "missing"]);
  });

  test("says no where it was not", async () => {
    const world = await startWorld(opened);
    await world.login("alice");
    world.store.down.add("revoke");
    const end = await world.tokens.endIf(world.key(), meant);
    expect([end.kind === "unknown" && (await end.isEnded), await world.fresh()]).toEqual([false, "access-1"]);
  });
});
