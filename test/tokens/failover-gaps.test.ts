import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { forgetfulWorld, presented, refreshed } from "./forgetful.ts";

const opened = resources();
const hourMs = 3_600_000;

describe("a gap, after which the store may have lost something", () => {
  test("makes it tried each half second while others hold off, where the store fails at first", async () => {
    const { world, before, bringBack } = await refreshed(opened);
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
    const { world, before, bringBack } = await refreshed(opened);
    const { read } = world.store.calls;
    world.store.subscription.gap();
    await world.clock.advance(10_000);
    await bringBack(before);
    await world.clock.advance(60_000);
    expect([world.store.calls.read, await world.storedRefreshToken()]).toEqual([read + 1, "refresh-1"]);
  });

  test("that comes while a write is looked up begins that anew: what was found may be gone", async () => {
    const { world, before, bringBack } = await refreshed(opened);
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
    const { world, other, before, bringBack } = await refreshed(opened);
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
    const { world, other, row, bringBack } = await forgetfulWorld(opened, { expiresIn: 20 });
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
    const { world, other, row, bringBack } = await forgetfulWorld(opened, { expiresIn: 20, reuseGraceMs: hourMs });
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
    const { world, lose } = await refreshed(opened);
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
      const { world, before, bringBack } = await refreshed(opened);
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
    const { world, before, bringBack } = await refreshed(opened);
    world.store.subscription.tellsHistory(false);
    await world.clock.advance(500);
    world.store.subscription.tellsHistory(true);
    await bringBack(before);
    await world.clock.advance(60_000);
    expect(await world.storedRefreshToken()).toBe("refresh-1");
  });
});
