import { describe, expect, test } from "vitest";
import { createCoherence } from "../../src/tokens/coherence.ts";
import { resources } from "../support/resources.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** Coherence with 5 s and 300 s, at a clock that tests set; entries are confirmed and looked at in seconds. */
function coherenceAt() {
  let nowMs = 0;
  const coherence = createCoherence({ maxStalenessMs: 5_000, maxOutageMs: 300_000 }, { monotonicMs: () => nowMs });
  return {
    heard(sentAt: number, arrivedAt = sentAt) {
      nowMs = arrivedAt * 1_000;
      coherence.heard(sentAt * 1_000);
    },
    gap(at: number) {
      nowMs = at * 1_000;
      coherence.gap();
    },
    current: (confirmedAt: number, now: number) => coherence.isCurrent(confirmedAt * 1_000, now * 1_000),
    bearable: (confirmedAt: number, now: number) => coherence.isBearable(confirmedAt * 1_000, now * 1_000),
    lastGapAt: () => coherence.lastGapAt(),
  };
}

describe("an entry is current", () => {
  test("for maxStaleness after the store confirmed it, whatever is heard", () => {
    const { current } = coherenceAt();
    expect([current(10, 14.999), current(10, 15)]).toEqual([true, false]);
  });

  test("for maxStaleness after the last heartbeat was sent, where changes were heard since it was confirmed", () => {
    const { current, heard } = coherenceAt();
    heard(9);
    heard(60);
    expect([current(10, 64.999), current(10, 65)]).toEqual([true, false]);
  });

  test("no longer by heartbeats where it was confirmed before the subscription began: it began when the first one arrived", () => {
    const { current, heard } = coherenceAt();
    heard(9, 11);
    heard(60);
    expect([current(10, 14.999), current(10, 15), current(11, 64)]).toEqual([true, false, true]);
  });

  test("not by heartbeats from before a gap, nor by those after it where it was confirmed before", () => {
    const { current, heard, gap } = coherenceAt();
    heard(1);
    heard(58);
    gap(60);
    expect([current(10, 60), current(58, 62)]).toEqual([false, true]);
    heard(61);
    expect([current(10, 61), current(61, 65.999), current(61, 66)]).toEqual([false, true, false]);
  });

  test("by the latest heartbeat, also where an earlier one arrives after it", () => {
    const { current, heard } = coherenceAt();
    heard(1);
    heard(60);
    heard(58, 61);
    expect(current(10, 64.999)).toBe(true);
  });
});

describe("an entry is bearable while the store cannot be asked", () => {
  test("for maxOutage after it was confirmed, or after the last heartbeat since", () => {
    const { bearable, heard } = coherenceAt();
    expect([bearable(10, 309.999), bearable(10, 310)]).toEqual([true, false]);
    heard(9);
    heard(60);
    expect([bearable(10, 359.999), bearable(10, 360)]).toEqual([true, false]);
  });

  test("after a gap by its confirmation alone", () => {
    const { bearable, heard, gap } = coherenceAt();
    heard(9);
    heard(60);
    gap(60);
    heard(62);
    expect([bearable(10, 309.999), bearable(10, 310), bearable(62, 361)]).toEqual([true, false, true]);
  });
});

test("the gap with which a process begins is none", () => {
  const { lastGapAt, heard, gap } = coherenceAt();
  gap(1);
  heard(2);
  expect(lastGapAt()).toBe(Number.NEGATIVE_INFINITY);
  gap(3);
  expect(lastGapAt()).toBe(3_000);
});

/** A token in the cache, heartbeats by hand, and another replica. */
async function listening() {
  const world = (await startWorld(opened, { heartbeats: "by hand" })) as World;
  const other = world.replica() as World;
  const beat = () => world.store.subscription.heard(world.clock.monotonicMs());
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
  return { world, other, beat, run };
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

describe("when they stop", () => {
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
    const { world } = await listening();
    world.store.subscription.silent = true;
    world.store.down.add("read");
    const ask = async () => world.cached() ?? (await world.fresh());
    for (let half = 0; half < 600; half++) {
      expect(await ask()).toBe("access-1");
      await world.tokens.settled();
      await world.clock.advance(500);
    }
    expect([world.store.calls.read, world.metrics.events.stale_served]).toEqual([295, 590]);
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

describe("after a gap", () => {
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
