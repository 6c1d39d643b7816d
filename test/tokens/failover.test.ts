import { describe, expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { GrantRow } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import type { RotatingTokensOptions } from "../support/rotating-tokens.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();
const hourMs = 3_600_000;

/**
 * A world whose store can lose what it has acknowledged, as a failover to a replica that lags does: without a word to
 * anybody.
 */
async function forgetfulWorld(endpoint: RotatingTokensOptions) {
  const clock = manualClock();
  const shared = createMemoryStore({ clock, maxGrants: 10 });
  const world = await startWorld(opened, { clock, store: shared, endpoint });
  const other = world.replica();
  const key = world.key();

  async function row(): Promise<GrantRow> {
    const read = await shared.read(key);
    if (read.kind !== "found") throw new Error(`the grant is ${read.kind}`);
    return read.row;
  }
  async function silently(change: () => Promise<unknown>): Promise<void> {
    for (const { store } of [world, other]) store.subscription.silent = true;
    await change();
    for (const { store } of [world, other]) store.subscription.silent = false;
  }
  return {
    world,
    other,
    row,
    bringBack: ({ version, grant, access, life }: GrantRow) =>
      silently(() => shared.put(key, { version, grant, access, life })),
    lose: () =>
      silently(() =>
        shared.put(key, { version: "gone", grant: { createdAt: 0, refreshedAt: 0 }, life: { ms: 0, stated: true } }),
      ),
  };
}

/** Refreshed once: what was before, and what is now. */
async function refreshed(endpoint: RotatingTokensOptions = {}) {
  const forgetful = await forgetfulWorld(endpoint);
  await forgetful.world.login("alice", { remainingMs: 0 });
  const before = await forgetful.row();
  expect(await forgetful.world.fresh()).toBe("access-2");
  return { ...forgetful, before };
}

/** The refresh tokens presented, oldest first. */
function presented({ endpoint }: World): readonly (string | undefined)[] {
  return endpoint.requests.map(({ form }) => form.refresh_token);
}

describe("a commit that the store acknowledged and then lost in a failover", () => {
  test.each([0, 1_500, 20_000, 59_000])(
    "is written again over its predecessor as soon as the store tells of a gap, %i ms after the refresh: nobody redeems the old token again",
    async (lostAt) => {
      const { world, other, before, bringBack } = await refreshed();
      await world.clock.advance(lostAt);
      await bringBack(before);
      world.store.subscription.gap();
      await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-2");
      expect([await other.fresh(), presented(world), world.metrics.events.recommit]).toEqual([
        "access-2",
        ["refresh-1"],
        1,
      ]);
      expect(world.events("recommit")).toMatchObject([
        { level: "warn", upstream: "crm", session: world.key().session.slice(0, 12) },
      ]);
    },
  );

  test("comes back with the life that its access token has left by then", async () => {
    const { world, before, bringBack, row } = await refreshed();
    await world.clock.advance(1_000);
    await bringBack(before);
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-2");
    expect((await row()).access).toMatchObject({ remainingMs: hourMs - 1_000, lifeMs: hourMs });
  });

  test("is written again where the grant is gone altogether", async () => {
    const { world, lose } = await refreshed();
    await lose();
    expect(await world.storedRefreshToken()).toBe("absent");
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-2");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["refresh-2", 1]);
  });

  test("is written again where the one before its predecessor is brought back: this process made both", async () => {
    const { world, before, bringBack } = await refreshed({ expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await world.fresh()).toBe("access-3");
    await bringBack(before);
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-3");
    expect(presented(world)).toEqual(["refresh-1", "refresh-2"]);
    expect(world.metrics.events.recommit).toBe(1);
  });

  test("is written again where another replica has to go first: each writes its own over the one before", async () => {
    const { world, other, before, bringBack } = await refreshed({ expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    await bringBack(before);
    for (const replica of [other, world]) replica.store.subscription.gap();
    await until("the last's", async () => (await world.storedRefreshToken()) === "refresh-3");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit, other.metrics.events.recommit]).toEqual([
      "refresh-3",
      1,
      1,
    ]);
  });

  test("is written again as soon as another replica has gone first, however long that took", async () => {
    const { world, other, before, bringBack } = await refreshed({ expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    world.store.down.add("commit");
    await bringBack(before);
    for (const replica of [other, world]) replica.store.subscription.gap();
    await world.clock.advance(10_000);
    expect(await world.storedRefreshToken()).toBe("refresh-1");
    world.store.down.clear();
    await world.clock.advance(500);
    expect([await world.storedRefreshToken(), presented(world)]).toEqual(["refresh-3", ["refresh-1", "refresh-2"]]);
  });

  test("is not presented at once when it is back: what came after it may be lost as well, and follow", async () => {
    const { world, other, before, bringBack } = await refreshed({ expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    other.store.down.add("read");
    world.store.down.add("commit");
    await bringBack(before);
    world.store.subscription.gap();
    await world.clock.advance(10_000); // nobody acquires for 3 s after a gap
    world.store.down.clear();
    await world.clock.advance(500);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
    await world.login("bob", { remainingMs: 0 });
    const waiting = world.fresh();
    expect(await world.fresh({ session: "bob" })).toBe("access-5"); // asked later, and it has been to the provider and back
    await world.clock.advance(2_500);
    expect(presented(world)).toEqual(["refresh-1", "refresh-2", "refresh-4"]);
    other.store.down.clear();
    other.store.subscription.gap();
    expect([await waiting, presented(world)]).toEqual(["access-3", ["refresh-1", "refresh-2", "refresh-4"]]);
  });

  test("is presented when that time is over: what came after it is gone", async () => {
    const { world, other, before, bringBack } = await refreshed({ expiresIn: 20, reuseGraceMs: 60_000 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    other.store.down.add("read");
    await bringBack(before);
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-2");
    const waiting = world.fresh();
    await world.clock.advance(3_000);
    expect([await waiting, world.metrics.events.presented_again]).toEqual(["access-4", undefined]);
  });

  test("is written again where the login before it was acknowledged only after that", async () => {
    const { world, row, lose } = await forgetfulWorld({});
    const put = world.store.holdReply("put");
    const login = world.login("alice", { remainingMs: 0 });
    await put.arrived();
    expect(await world.fresh()).toBe("access-2");
    const { version } = await row();
    put.release();
    await login;
    await lose();
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-2");
    expect((await row()).version).toBe(version);
  });

  test("is written again where the first of a chain that replicas made in turn is brought back", async () => {
    const { world, other, before, bringBack } = await refreshed({ expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    await world.clock.advance(16_000);
    expect(await world.fresh()).toBe("access-4");
    await bringBack(before);
    world.store.subscription.gap();
    await until("the commit", async () => (await world.storedRefreshToken()) === "refresh-4");
    expect(presented(world)).toEqual(["refresh-1", "refresh-2", "refresh-3"]);
  });

  test("that is still there is left alone: nothing changes, nobody is told, nothing is counted", async () => {
    const { world, other, row } = await refreshed();
    await other.fresh();
    const after = await row();
    await world.clock.advance(60_000);
    expect(await row()).toEqual({
      ...after,
      access: { ...after.access, remainingMs: hourMs - 60_000 },
      life: { ...after.life, ms: after.life.ms - 60_000 },
    });
    expect([
      other.cached(),
      other.metrics.events.invalidated,
      world.metrics.events.recommit,
      world.events("recommit"),
    ]).toEqual(["access-2", undefined, undefined, []]);
  });

  test("is remembered for a minute, not longer", async () => {
    const { world, before, bringBack } = await refreshed();
    await world.clock.advance(61_000);
    await bringBack(before);
    world.store.subscription.gap();
    await world.clock.advance(600_000);
    expect([await world.storedRefreshToken(), world.clock.pending]).toEqual(["refresh-1", 0]);
  });

  test.each<[name: string, end: (replica: World) => Promise<unknown>, stored: string]>([
    ["a logout", ({ tokens, key }) => tokens.revoke(key()), "revoked"],
    ["a login", (replica) => replica.login("alice"), "refresh-3"],
  ])("does not come back after %s, on whichever replica", async (_, end, stored) => {
    for (const by of ["world", "other"] as const) {
      const replicas = await refreshed();
      await end(replicas[by]);
      replicas.world.store.subscription.gap();
      await replicas.world.clock.advance(60_000);
      expect([await replicas.world.storedRefreshToken(), replicas.world.metrics.events.recommit]).toEqual([
        stored,
        undefined,
      ]);
    }
  });
});

describe("a logout that the store acknowledged and then lost in a failover", () => {
  test("is written again over the login that came back: the session stays ended", async () => {
    const { world, other, before, bringBack } = await refreshed();
    await world.tokens.revoke(world.key());
    await bringBack(before);
    world.store.subscription.gap();
    await until("the end of the session", async () => (await world.storedRefreshToken()) === "revoked");
    expect([await other.fresh(), world.metrics.events.recommit, presented(world)]).toEqual([
      "missing",
      1,
      ["refresh-1"],
    ]);
    await world.clock.advance(61_000);
    expect([await world.storedRefreshToken(), world.clock.pending]).toEqual(["revoked", 0]);
  });

  test("is written again by whoever has seen it, where the one who stored it does not know what came back", async () => {
    const { world, other, before, bringBack } = await refreshed();
    const { read } = world.store.calls;
    await other.tokens.revoke(world.key());
    await until("the look at what was written", () => world.store.calls.read > read);
    await bringBack(before);
    world.store.subscription.gap();
    await until("the end of the session", async () => (await world.storedRefreshToken()) === "revoked");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit, other.metrics.events.recommit]).toEqual([
      "revoked",
      1,
      undefined,
    ]);
    await world.clock.advance(61_000);
    expect(world.clock.pending).toBe(0);
  });

  test("is written again where nothing is left of the row: a refresh under way elsewhere cannot create it anew", async () => {
    const { world, lose } = await refreshed();
    await world.tokens.revoke(world.key());
    await lose();
    world.store.subscription.gap();
    await until("the end of the session", async () => (await world.storedRefreshToken()) === "revoked");
  });

  test("is written again over what a refresh of this process stored after that", async () => {
    const { world, row, bringBack } = await forgetfulWorld({});
    await world.login("alice", { remainingMs: 0 });
    const before = await row();
    const gate = world.endpoint.hold();
    const asked = world.fresh({ waitMs: 1 });
    await gate.arrived();
    await world.clock.advance(1);
    expect(await asked).toBe("unavailable: deadline");
    await world.tokens.revoke(world.key());
    await bringBack(before);
    gate.release();
    await world.tokens.settled();
    expect(world.store.calls.commit).toBe(1);
    await until("the end of the session", async () => (await world.storedRefreshToken()) === "revoked");
    expect(await world.fresh()).toBe("missing");
  });

  test("takes the token with it that a request got meanwhile", async () => {
    const { world, row, bringBack } = await forgetfulWorld({});
    await world.login("alice");
    const before = await row();
    await world.tokens.revoke(world.key());
    await bringBack(before);
    expect([await world.fresh(), world.cached()]).toEqual(["access-1", "access-1"]);
    world.store.subscription.gap();
    await until("the end of the session", async () => (await world.storedRefreshToken()) === "revoked");
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "missing"]);
  });

  test.each(["world", "other"] as const)("ends no login that came after it, on whichever replica: %s", async (by) => {
    const replicas = await refreshed();
    const { world } = replicas;
    await world.tokens.revoke(world.key());
    await replicas[by].login("alice");
    world.store.subscription.gap();
    await world.clock.advance(60_000);
    expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["refresh-3", undefined]);
  });

  test("is not written again where the store never took it: the session goes on as its caller was told", async () => {
    const { world, before, bringBack } = await refreshed();
    world.store.down.add("revoke");
    await expect(world.tokens.revoke(world.key())).rejects.toMatchObject({ code: "store_unavailable" });
    world.store.down.clear();
    await bringBack(before);
    world.store.subscription.gap();
    await until("the refresh", async () => (await world.storedRefreshToken()) === "refresh-2");
    await world.clock.advance(60_000);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });
});

describe("a gap, after which the store may have lost something", () => {
  test("makes it tried each half second while others hold off, where the store fails at first", async () => {
    const { world, before, bringBack } = await refreshed();
    await bringBack(before);
    world.store.down.add("commit");
    world.store.subscription.gap();
    await world.clock.advance(2_000);
    world.store.down.clear();
    await world.clock.advance(499);
    expect(await world.storedRefreshToken()).toBe("refresh-1");
    await world.clock.advance(1);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });

  test("costs one look at each write that is still there; what is lost later without a gap stays lost", async () => {
    const { world, before, bringBack } = await refreshed();
    const { read } = world.store.calls;
    world.store.subscription.gap();
    await world.clock.advance(10_000);
    await bringBack(before);
    await world.clock.advance(60_000);
    expect([world.store.calls.read, await world.storedRefreshToken()]).toEqual([read + 1, "refresh-1"]);
  });

  test("that comes while a write is looked up begins that anew: what was found may be gone", async () => {
    const { world, before, bringBack } = await refreshed();
    const look = world.store.holdReply("read");
    world.store.subscription.gap();
    await look.arrived();
    await bringBack(before);
    world.store.subscription.gap();
    look.release();
    await until("the commit", async () => {
      await world.clock.advance(500);
      return (await world.storedRefreshToken()) === "refresh-2";
    });
  });

  test("costs nobody the login: who needs the token holds off until it is written again, and adopts it", async () => {
    const { world, other, before, bringBack } = await refreshed();
    await world.clock.advance(32_000);
    await bringBack(before);
    world.store.down.add("commit");
    for (const replica of [world, other]) replica.store.subscription.gap();
    const { read } = other.store.calls;
    const waiting = other.fresh();
    await until("the look at the grant", () => other.store.calls.read > read);
    await world.clock.advance(1_000);
    world.store.down.clear();
    await world.clock.advance(500);
    expect([await waiting, presented(world), world.endpoint.tokens.reuses]).toEqual(["access-2", ["refresh-1"], 0]);
  });
});

describe("a commit that finds the store gone back behind what it began with", () => {
  test("counts as unstored until who wrote that has written it back, and is then written over it", async () => {
    const { world, other, row, bringBack } = await forgetfulWorld({ expiresIn: 20 });
    await other.login("alice", { remainingMs: 0 });
    const before = await row();
    expect(await other.fresh()).toBe("access-2");
    await world.clock.advance(16_000);
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    await bringBack(before);
    world.store.subscription.gap();
    gate.release();
    await until(
      "the write that is too early",
      () => world.store.calls.commit >= 1 && world.tokens.unstored().length === 1,
    );
    await world.clock.advance(1_100);
    expect([world.tokens.unstored(), await world.storedRefreshToken()]).toEqual([[world.key()], "refresh-1"]);
    other.store.subscription.gap();
    await until("the one before", async () => (await world.storedRefreshToken()) !== "refresh-1");
    await world.clock.advance(1_000);
    expect([await waiting, await world.storedRefreshToken(), world.tokens.unstored()]).toEqual([
      "access-3",
      "refresh-3",
      [],
    ]);
  });

  test("gives up where nobody does, and the caller looks at what is there", async () => {
    const { world, other, row, bringBack } = await forgetfulWorld({ expiresIn: 20, reuseGraceMs: hourMs });
    await other.login("alice", { remainingMs: 0 });
    const before = await row();
    expect(await other.fresh()).toBe("access-2");
    await world.clock.advance(16_000);
    const gate = world.endpoint.hold();
    void world.fresh();
    await gate.arrived();
    await bringBack(before);
    world.store.subscription.gap();
    gate.release();
    await until("the write that is too early", () => world.tokens.unstored().length === 1);
    await world.clock.advance(5_000);
    await until("the end of the tries", () => world.tokens.unstored().length === 0);
  });
});

describe("a grant that an operator deletes (DEL)", () => {
  test("stays deleted where the store tells of no gap, however lately it was refreshed", async () => {
    const { world, lose } = await refreshed();
    await lose();
    await world.clock.advance(60_000);
    expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["absent", undefined]);
  });
});

describe("a store that does not tell which history its data belong to", () => {
  test.each([
    [0, 1_000],
    [1_500, 3_000],
    [4_000, 7_000],
    [8_000, 15_000],
    [20_000, 31_000],
    [40_000, 60_000],
  ])(
    "is asked for what was written by schedule: lost %i ms after the refresh, it is back at %i ms",
    async (lostAt, atMs) => {
      const { world, before, bringBack } = await refreshed();
      world.store.subscription.tellsHistory(false);
      await world.clock.advance(lostAt);
      await bringBack(before);
      await world.clock.advance(atMs - lostAt - 1);
      expect(await world.storedRefreshToken()).toBe("refresh-1");
      await world.clock.advance(1);
      expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["refresh-2", 1]);
    },
  );

  test("is no longer asked once it does", async () => {
    const { world, before, bringBack } = await refreshed();
    world.store.subscription.tellsHistory(false);
    await world.clock.advance(500);
    world.store.subscription.tellsHistory(true);
    await bringBack(before);
    await world.clock.advance(60_000);
    expect(await world.storedRefreshToken()).toBe("refresh-1");
  });
});
