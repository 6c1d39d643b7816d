import { describe, expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** A token in the cache, heartbeats by hand, and another replica. */
async function listening({ hasOtherWriters = false } = {}) {
  const clock = manualClock();
  const store = { ...createMemoryStore({ clock, maxGrants: 1_000 }), hasOtherWriters };
  const world: World = await startWorld(opened, { heartbeats: "by hand", clock, store });
  const other = world.replica() as World;
  /** A heartbeat arrives that was sent so long ago, ms. */
  const beat = (agoMs = 0) => world.store.subscription.heard(world.clock.monotonicMs() - agoMs);
  beat();
  await other.login(); // by another: whoever stores a login looks after it for a minute
  await world.fresh();
  world.store.calls.read = 0;
  /** Each second a heartbeat, and a request: what it got from the cache. */
  async function run(seconds: number): Promise<Set<string | undefined>> {
    const served = new Set<string | undefined>();
    for (let second = 0; second < seconds; second++) {
      beat();
      served.add(world.cached());
      await world.clock.advance(1_000);
    }
    return served;
  }
  const ask = async () => world.cached() ?? (await world.fresh());
  return { world, other, beat, run, ask };
}

describe("while heartbeats come", () => {
  test("the hot path makes no store call, however long", async () => {
    const { world, run } = await listening();
    expect([await run(3_500), world.store.calls.read]).toEqual([new Set(["access-1"]), 0]);
    expect(world.metrics.events.stale_served).toBeUndefined();
  });

  test("a logout elsewhere takes effect at once, and a login elsewhere is served at once", async () => {
    const { world, other, run } = await listening();
    await run(100);
    await other.tokens.revoke(world.key());
    expect([world.cached(), await world.fresh(), world.metrics.events.invalidated]).toEqual([undefined, "missing", 1]);
    await other.login();
    expect(await world.fresh()).toBe("access-2");
    await other.login();
    expect([world.cached(), await world.fresh(), world.metrics.events.invalidated]).toEqual([undefined, "access-3", 2]);
  });

  test("word of a version that is held, or of another session, drops nothing", async () => {
    const { world, other } = await listening();
    const read = await other.store.read(world.key());
    if (read.kind !== "found") throw new Error("the grant is gone");
    world.store.subscription.changed({ ...world.key(), version: read.row.version });
    await other.login("bob");
    expect([world.cached(), world.metrics.events.invalidated]).toEqual(["access-1", undefined]);
  });
});

test("what was read before the subscription began is read again: a change of it may have been missed", async () => {
  const world = (await startWorld(opened, { heartbeats: "by hand" })) as World;
  const beat = (agoMs = 0) => world.store.subscription.heard(world.clock.monotonicMs() - agoMs);
  await world.replica().login();
  await world.clock.advance(1_000);
  expect(await world.fresh()).toBe("access-1");
  await world.clock.advance(1_000);
  beat(1_500); // sent before that, and come only now
  for (let second = 0; second < 4; second++) {
    expect(world.cached()).toBe("access-1");
    await world.clock.advance(1_000);
    beat();
  }
  expect([world.cached(), await world.fresh()]).toEqual([undefined, "access-1"]);
  await world.clock.advance(4_000);
  beat();
  await world.clock.advance(4_999);
  expect(world.cached()).toBe("access-1");
});

describe("when they stop", () => {
  test("the last one counts from when it was sent, also where it arrives late, and an earlier one after it", async () => {
    const { world, beat, run } = await listening();
    await run(100);
    await world.clock.advance(3_000);
    beat(3_000);
    beat(3_500);
    await world.clock.advance(1_999);
    expect(world.cached()).toBe("access-1");
    await world.clock.advance(1);
    expect(world.cached()).toBeUndefined();
  });

  test("a logout here takes effect here at once", async () => {
    const { world, run } = await listening();
    await run(100);
    world.store.subscription.silent = true;
    await world.tokens.revoke(world.key());
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "missing"]);
  });

  test("a logout elsewhere takes effect within maxStaleness", async () => {
    const { world, other, run } = await listening();
    await run(100);
    world.store.subscription.silent = true;
    await other.tokens.revoke(world.key());
    await world.clock.advance(3_999); // the last heartbeat is a second old
    expect(world.cached()).toBe("access-1");
    await world.clock.advance(1);
    expect([world.cached(), await world.fresh(), world.cached()]).toEqual([undefined, "missing", undefined]);
  });

  test("tokens are read again every maxStaleness, and served as long as the store confirms them", async () => {
    const { world } = await listening();
    world.store.subscription.silent = true;
    for (let second = 0; second < 60; second++) {
      expect(world.cached() ?? (await world.fresh())).toBe("access-1");
      await world.clock.advance(1_000);
    }
    expect([world.store.calls.read, world.endpoint.calls, world.metrics.events.stale_served]).toEqual([
      11,
      0,
      undefined,
    ]);
  });

  test("and the store cannot be read either, they are served until maxOutage, and the store is asked once a second: an outage is no logout", async () => {
    const { world, beat, run, ask } = await listening();
    await run(100);
    beat();
    world.store.subscription.silent = true;
    world.store.down.add("read");
    for (let half = 0; half < 600; half++) {
      expect(await ask()).toBe("access-1");
      await world.tokens.settled();
      await world.clock.advance(500);
    }
    expect(world.store.calls.read).toBe(295); // from maxStaleness on
    expect([await ask(), world.cached()]).toEqual(["unavailable: store_unavailable", undefined]);
    world.store.down.clear();
    expect([await ask(), world.cached()]).toEqual(["access-1", "access-1"]);
  });

  test("a store that comes back with a logout ends the token at the next look", async () => {
    const { world, other } = await listening();
    world.store.subscription.silent = true;
    world.store.down.add("read");
    await other.tokens.revoke(world.key());
    await world.clock.advance(10_000);
    expect(await world.fresh()).toBe("access-1");
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect(world.cached()).toBe("access-1"); // asks in the background
    await world.tokens.settled();
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "missing"]);
  });

  test("a token that is over is not served, whatever the store does", async () => {
    const { world } = await listening();
    world.store.subscription.silent = true;
    await world.clock.advance(3_589_000);
    await world.fresh();
    world.store.down.add("read");
    await world.clock.advance(9_999);
    expect(await world.fresh()).toBe("access-1");
    await world.clock.advance(1);
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "unavailable: store_unavailable"]);
  });
});

describe("where others write to the store who tell nobody", () => {
  test("heartbeats do not vouch for what is cached: it is read again after maxStaleness", async () => {
    const { world, run, ask } = await listening({ hasOtherWriters: true });
    expect([await run(5), world.cached()]).toEqual([new Set(["access-1"]), undefined]);
    expect([await ask(), world.store.calls.read]).toEqual(["access-1", 1]);
    for (let looks = 0; looks < 10; looks++) await Promise.all([run(5), ask()]);
    expect(world.store.calls.read).toBeGreaterThanOrEqual(10);
  });

  test("heartbeats do not prolong how long an outage is borne", async () => {
    const { world, run, ask } = await listening({ hasOtherWriters: true });
    world.store.down.add("read");
    await run(5);
    expect(await ask()).toBe("access-1");
    await run(294);
    expect(await ask()).toBe("access-1");
    await run(1);
    expect(await ask()).toBe("unavailable: store_unavailable");
  });

  test("a gap is noticed all the same", async () => {
    const { world, run } = await listening({ hasOtherWriters: true });
    await run(1);
    world.store.subscription.gap();
    expect(world.cached()).toBe("access-1");
    expect(await run(5)).toEqual(new Set(["access-1", undefined]));
  });
});

describe("after a gap", () => {
  test("an outage is borne from the last look at the store on: heartbeats do not say what was missed", async () => {
    const { world, run, ask } = await listening();
    await run(100);
    world.store.subscription.gap();
    world.store.down.add("read");
    expect(await ask()).toBe("access-1");
    await run(199);
    expect(await ask()).toBe("access-1");
    await run(1);
    expect(await ask()).toBe("unavailable: store_unavailable");
  });

  test("what was cached before it is read again, once, although heartbeats come", async () => {
    const { world, run } = await listening();
    await run(100);
    world.store.subscription.gap();
    expect(await run(1)).toEqual(new Set([undefined]));
    expect([await world.fresh(), await run(100), world.store.calls.read]).toEqual([
      "access-1",
      new Set(["access-1"]),
      1,
    ]);
  });

  test("a logout that was missed in it takes effect", async () => {
    const { world, other, run } = await listening();
    await run(100);
    world.store.subscription.silent = true;
    await other.tokens.revoke(world.key());
    world.store.subscription.silent = false;
    world.store.subscription.gap();
    expect(await run(1)).toEqual(new Set([undefined]));
    expect(await world.fresh()).toBe("missing");
  });
});
