import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import type { Script } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { acquireTheirs, commitTheirs, versionOf } from "./theirs.ts";
import { startWorld } from "./world.ts";

const opened = resources();

/** An expired login, and the provider's answer to its refresh. */
async function expired(script?: Script) {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  if (script !== undefined) world.endpoint.respondNext(script);
  return world;
}

describe("each presentation is counted by its ending, its trigger and its length", () => {
  test.each<[ending: string, script: Script | undefined]>([
    ["refreshed", undefined],
    ["refused", { status: 400, body: { error: "invalid_grant" } }],
    ["misconfigured", { status: 401, body: { error: "invalid_client" } }],
    ["transient", { status: 429 }],
    ["unknown", { status: 500 }],
  ])("%s", async (ending, script) => {
    const world = await expired(script);
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    await world.clock.advance(1_500);
    gate.release();
    await waiting;
    expect(world.metrics.endings).toEqual([`${ending} expired 1500`]);
    expect(world.events("refresh")).toMatchObject([{ trigger: "expired", durationMs: 1_500 }]);
  });

  test("refreshed ahead of need", async () => {
    const world = await startWorld(opened);
    await world.login();
    await world.fresh();
    await world.clock.advance(3_540_000);
    world.cached();
    await world.tokens.settled();
    expect(world.metrics.endings).toEqual(["refreshed ahead 0"]);
  });

  test("adopted, where its tokens came after somebody else's", async () => {
    const world = await expired();
    const gate = world.endpoint.hold();
    world.store.subscription.silent = true;
    const waiting = world.fresh();
    await gate.arrived();
    await world.replica().login();
    gate.release();
    expect([await waiting, world.metrics.endings]).toEqual(["access-3", ["adopted expired 0"]]);
  });

  test("revoked, where its tokens came after a logout", async () => {
    const world = await expired();
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    await world.replica().tokens.revoke(world.key());
    gate.release();
    await world.tokens.settled();
    expect([await waiting, world.metrics.endings]).toEqual(["missing", ["revoked expired 0"]]);
  });

  test("unknown, where the store did not take its tokens for a day: they are lost", async () => {
    const world = await expired();
    world.store.down.add("commit");
    void world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.clock.advance(86_400_000);
    await world.tokens.settled();
    expect([world.metrics.endings, world.tokens.unstored()]).toEqual([["unknown expired 86400000"], []]);
    expect(world.events("commit_lost")).toMatchObject([
      { level: "error", upstream: "crm", session: world.key().session.slice(0, 12) },
    ]);
  }, 60_000);
});

describe("flights and waiters are counted while there are any", () => {
  test("a waiter until it is answered, a flight until everything is stored", async () => {
    const world = await expired();
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh({ waitMs: 1_000 })];
    await gate.arrived();
    expect(world.metrics.underWay).toEqual({ flights: 1, waiters: 2 });
    await world.clock.advance(1_000);
    expect([await waiting[1], world.metrics.underWay]).toEqual(["unavailable: deadline", { flights: 1, waiters: 1 }]);
    await world.clock.advance(9_000);
    expect([await waiting[0], world.metrics.underWay]).toEqual([
      "unavailable: refresh_timeout",
      { flights: 1, waiters: 0 },
    ]);
    gate.release();
    await world.tokens.settled();
    expect(world.metrics.underWay).toEqual({ flights: 0, waiters: 0 });
  });

  test("also where they fail, by provider or store", async () => {
    const world = await expired({ status: 500 });
    await world.fresh();
    world.store.down.add("read");
    await world.fresh();
    await world.tokens.settled();
    expect(world.metrics.underWay).toEqual({ flights: 0, waiters: 0 });
  });
});

describe("what happened on the way is counted", () => {
  test("a quiet refresh: a miss, and hits from then on; nothing else", async () => {
    const world = await expired();
    await world.fresh();
    world.cached();
    world.cached();
    expect(world.metrics.events).toEqual({ cache_miss: 1, cache_hit: 2 });
  });

  test("a dead grant, once", async () => {
    const world = await expired({ status: 400, body: { error: "invalid_grant" } });
    await world.fresh();
    await world.fresh();
    expect(world.metrics.events).toEqual({ cache_miss: 2, dead: 1 });
  });

  test("a back-off, once for all who keep to it", async () => {
    const world = await expired({ status: 500 });
    await world.fresh();
    await world.fresh();
    expect(world.metrics.events).toEqual({ cache_miss: 2, back_off: 1 });
  });

  test("each further try to store new tokens", async () => {
    const world = await expired();
    world.store.down.add("commit");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.clock.advance(2_000);
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect([await waiting, world.metrics.events]).toEqual(["access-2", { cache_miss: 1, commit_retry: 3 }]);
  });

  test("a refusal that the store did not take is no such try: no tokens are at stake", async () => {
    const world = await expired({ status: 400, body: { error: "invalid_grant" } });
    world.store.down.add("refuse");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.refuse === 1);
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect([await waiting, world.metrics.events]).toEqual(["refused: invalid_grant", { cache_miss: 1, dead: 1 }]);
  });

  test("the wait for another's lease, and the token that it brought", async () => {
    const world = await expired();
    const other = world.replica();
    await acquireTheirs(other);
    const waiting = world.fresh();
    await until("the wait", () => world.metrics.events.lease_busy === 1);
    await commitTheirs(other, await versionOf(other));
    expect([await waiting, world.metrics.events]).toEqual(["access-2", { cache_miss: 1, lease_busy: 1, adopted: 1 }]);
  });

  test("a token that is dropped as it was changed elsewhere, but not one that is not held", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login();
    await other.login();
    expect(world.metrics.events).toEqual({});
    await world.fresh();
    await other.login();
    expect(world.metrics.events).toEqual({ cache_miss: 1, invalidated: 1 });
  });
});
