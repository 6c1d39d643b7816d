import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { forgetfulWorld, presented, refreshed, untilHeld } from "./forgetful.ts";
import type { World } from "./world.ts";

const opened = resources();
const hourMs = 3_600_000;

describe("a commit that the store acknowledged and then lost in a failover", () => {
  test.each([0, 1_500, 20_000, 59_000])(
    "is written again over its predecessor as soon as the store tells of a gap, %i ms after the refresh: nobody redeems the old token again",
    async (lostAt) => {
      const { world, other, before, bringBack } = await refreshed(opened);
      await world.clock.advance(lostAt);
      await bringBack(before);
      world.store.subscription.gap();
      await untilHeld(world, "refresh-2");
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
    const { world, before, bringBack, row } = await refreshed(opened);
    await world.clock.advance(1_000);
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-2");
    expect((await row()).access).toMatchObject({ remainingMs: hourMs - 1_000, lifeMs: hourMs });
  });

  test("is written again where the grant is gone altogether", async () => {
    const { world, lose } = await refreshed(opened);
    await lose();
    expect(await world.storedRefreshToken()).toBe("absent");
    world.store.subscription.gap();
    await untilHeld(world, "refresh-2");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["refresh-2", 1]);
  });

  test("is written again where the one before its predecessor is brought back: this process made both", async () => {
    const { world, before, bringBack } = await refreshed(opened, { expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await world.fresh()).toBe("access-3");
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-3");
    expect(presented(world)).toEqual(["refresh-1", "refresh-2"]);
    expect(world.metrics.events.recommit).toBe(1);
  });

  test("is written again where another replica has to go first: each writes its own over the one before", async () => {
    const { world, other, before, bringBack } = await refreshed(opened, { expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    await bringBack(before);
    for (const replica of [other, world]) replica.store.subscription.gap();
    await untilHeld(world, "refresh-3");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit, other.metrics.events.recommit]).toEqual([
      "refresh-3",
      1,
      1,
    ]);
  });

  test("is written again as soon as another replica has gone first, however long that took", async () => {
    const { world, other, before, bringBack } = await refreshed(opened, { expiresIn: 20 });
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
    const { world, other, before, bringBack } = await refreshed(opened, { expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    // The first commit is written back long after the gap, whose own hold-off is over; the second cannot be yet.
    other.store.down.add("read");
    world.store.down.add("commit");
    await bringBack(before);
    world.store.subscription.gap();
    await world.clock.advance(10_000);
    world.store.down.clear();
    await world.clock.advance(500);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
    await world.login("bob", { remainingMs: 0 });
    const waiting = world.fresh();
    // Bob has asked later, and his refresh has been to the provider and back: Alice's would have been there as well.
    expect(await world.fresh({ session: "bob" })).toBe("access-5");
    await world.clock.advance(2_500);
    expect(presented(world)).toEqual(["refresh-1", "refresh-2", "refresh-4"]);
    other.store.down.clear();
    other.store.subscription.gap();
    expect([await waiting, presented(world)]).toEqual(["access-3", ["refresh-1", "refresh-2", "refresh-4"]]);
  });

  test("is presented when that time is over: what came after it is gone", async () => {
    const { world, other, before, bringBack } = await refreshed(opened, { expiresIn: 20, reuseGraceMs: 60_000 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    other.store.down.add("read");
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-2");
    const waiting = world.fresh();
    await world.clock.advance(3_000);
    expect([await waiting, world.metrics.events.presented_again]).toEqual(["access-4", undefined]);
  });

  test("is written again where the login before it was acknowledged only after that", async () => {
    const { world, row, lose } = await forgetfulWorld(opened);
    const put = world.store.holdReply("put");
    const login = world.login("alice", { remainingMs: 0 });
    await put.arrived();
    expect(await world.fresh()).toBe("access-2");
    const { version } = await row();
    put.release();
    await login;
    await lose();
    world.store.subscription.gap();
    await untilHeld(world, "refresh-2");
    expect((await row()).version).toBe(version);
  });

  test("is written again where its predecessor's acknowledgement got lost and the API rejected that one's token at once", async () => {
    const { world, other, row, bringBack } = await forgetfulWorld(opened);
    await other.login("alice", { remainingMs: 0 });
    const before = await row();
    world.store.deaf.add("commit");
    const first = world.fresh();
    await untilHeld(world, "refresh-2");
    world.store.deaf.delete("commit");
    await world.tokens.rejected(world.key(), (await row()).version);
    expect([await first, await world.fresh()]).toEqual(["access-3", "access-3"]);
    await world.clock.advance(5_000);
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-3");
    expect(presented(world)).toEqual(["refresh-1", "refresh-2"]);
  });

  test("is written again where the first of a chain that replicas made in turn is brought back", async () => {
    const { world, other, before, bringBack } = await refreshed(opened, { expiresIn: 20 });
    await world.clock.advance(16_000);
    expect(await other.fresh()).toBe("access-3");
    await world.clock.advance(16_000);
    expect(await world.fresh()).toBe("access-4");
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-4");
    expect(presented(world)).toEqual(["refresh-1", "refresh-2", "refresh-3"]);
  });

  test("that is still there is left alone: nothing changes, nobody is told, nothing is counted", async () => {
    const { world, other, row } = await refreshed(opened);
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
    const { world, before, bringBack } = await refreshed(opened);
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
      const replicas = await refreshed(opened);
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
