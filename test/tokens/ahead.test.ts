import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** A login with an hour's token, in the cache, with this much of its life left. */
async function nearItsEnd(leftMs: number, options: Parameters<typeof startWorld>[1] = {}): Promise<World> {
  const world = (await startWorld(opened, options)) as World;
  await world.login();
  await world.fresh();
  await world.clock.advance(3_600_000 - leftMs);
  return world;
}

describe("near a token's end", () => {
  test("requests are answered with it at once, while one refresh runs in the background: nobody waits for a provider", async () => {
    const world = await nearItsEnd(60_000);
    const gate = world.endpoint.hold();
    for (let request = 0; request < 50; request++) expect(world.cached()).toBe("access-1");
    await gate.arrived();
    for (let request = 0; request < 50; request++) expect(world.cached()).toBe("access-1");
    gate.release();
    await world.tokens.settled();
    expect([world.cached(), world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("and not before", async () => {
    const world = await nearItsEnd(60_001);
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    expect(world.endpoint.calls).toBe(0);
  });

  test("sessions that began together are refreshed apart", async () => {
    const fractions = [0.9, 0];
    const world = (await startWorld(opened, { random: { fraction: () => fractions.pop() ?? 0 } })) as World;
    await world.login("early");
    await world.login("late");
    await world.fresh({ session: "early" });
    await world.fresh({ session: "late" });
    await world.clock.advance(3_545_000);
    expect([world.cached({ session: "early" }), world.cached({ session: "late" })]).toEqual(["access-1", "access-2"]);
    await world.tokens.settled();
    expect([world.cached({ session: "early" }), world.cached({ session: "late" })]).toEqual(["access-3", "access-2"]);
  });

  test("a refresh that another replica has made drops the old token here, and the new one is taken from the store", async () => {
    const world = await nearItsEnd(60_000);
    const other = world.replica();
    await other.fresh();
    other.cached();
    await other.tokens.settled();
    expect([world.cached(), await world.fresh(), world.cached()]).toEqual([undefined, "access-2", "access-2"]);
    expect([other.cached(), world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("also where nobody told this one: it asks the store before it asks the provider", async () => {
    const world = await nearItsEnd(60_000);
    const other = world.replica();
    world.store.subscription.silent = true;
    await other.fresh();
    other.cached();
    await other.tokens.settled();
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    expect([world.cached(), other.cached(), world.endpoint.calls]).toEqual(["access-2", "access-2", 1]);
  });

  test("a request that comes when the token is over joins the refresh that began ahead", async () => {
    const world = await nearItsEnd(15_000);
    const gate = world.endpoint.hold();
    expect(world.cached()).toBe("access-1");
    await gate.arrived();
    await world.clock.advance(6_000);
    expect(world.cached()).toBeUndefined();
    const waiting = world.fresh();
    gate.release();
    expect(await waiting).toBe("access-2");
    expect(world.endpoint.calls).toBe(1);
  });
});

describe("a refresh ahead that fails", () => {
  test("backs off for 5 s, 10 s, 20 s, while the token is served: a provider in trouble is not hammered", async () => {
    const world = await nearItsEnd(60_000);
    world.endpoint.respondAlways({ status: 503 });
    const askedAt: number[] = [];
    for (let second = 0; second <= 35; second++) {
      if (second === 30) world.endpoint.respondAlways(undefined);
      const before = world.endpoint.calls;
      expect(world.cached()).toBe("access-1");
      await world.tokens.settled();
      if (world.endpoint.calls > before) askedAt.push(second);
      await world.clock.advance(1_000);
    }
    expect(askedAt).toEqual([0, 5, 15, 35]);
    expect(world.cached()).toBe("access-2");
  });

  test("keeps to that back-off where the token is read from the store meanwhile", async () => {
    const world = await nearItsEnd(60_000);
    world.endpoint.respondAlways({ status: 503 });
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    await world.clock.advance(4_999);
    expect([await world.fresh(), world.cached()]).toEqual(["access-1", "access-1"]);
    await world.tokens.settled();
    expect(world.endpoint.calls).toBe(1);
    await world.clock.advance(1);
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    expect(world.endpoint.calls).toBe(2);
  });

  test("does not make the token last longer: once stale it is not served from the cache, though the back-off runs", async () => {
    const world = await nearItsEnd(12_000);
    world.endpoint.respondNext({ status: 503 });
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    await world.clock.advance(1_999);
    expect(world.cached()).toBe("access-1");
    await world.clock.advance(1);
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "access-1"]);
    await world.clock.advance(2_999);
    expect([world.cached(), await world.fresh(), world.endpoint.calls]).toEqual([undefined, "access-1", 1]);
    await world.clock.advance(1);
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["access-2", 2]);
  });

  test("does not for a short life either, where the back-off would reach beyond its end", async () => {
    const world = (await startWorld(opened, { endpoint: { expiresIn: 5 } })) as World;
    await world.login();
    await world.fresh();
    await world.clock.advance(3_000);
    world.endpoint.respondNext({ status: 503 });
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    await world.clock.advance(3_000);
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "unavailable: back_off"]);
    await world.clock.advance(2_000);
    expect([world.cached(), await world.fresh(), world.endpoint.calls]).toEqual([undefined, "access-2", 2]);
  });

  test("by refusal is not repeated at the provider, and the token is served to its end", async () => {
    const world = await nearItsEnd(60_000);
    world.endpoint.tokens.revoke("refresh-1");
    for (let second = 0; second < 20; second++) {
      expect(world.cached()).toBe("access-1");
      await world.tokens.settled();
      await world.clock.advance(1_000);
    }
    expect(world.endpoint.calls).toBe(1);
    await world.clock.advance(39_500);
    expect(await world.fresh()).toBe("refused: invalid_grant");
  });
});

describe("with killsOldAccess", () => {
  test("nothing is refreshed ahead: that would take their token from requests on their way", async () => {
    const world = await nearItsEnd(10_001, { provider: { killsOldAccess: true }, endpoint: { killsOldAccess: true } });
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
    expect([world.endpoint.calls, world.endpoint.tokens.isActive("access-1")]).toEqual([0, true]);
    await world.clock.advance(1);
    expect(world.cached()).toBeUndefined();
    expect(await world.fresh()).toBe("access-2");
    expect([world.endpoint.calls, world.endpoint.tokens.isActive("access-1")]).toEqual([1, false]);
  });
});

describe("a provider that is down or slow costs no request that the old token can still answer", () => {
  test("down: a stale token with more than a second left is served, and less is not", async () => {
    const world = await nearItsEnd(10_000);
    world.endpoint.respondAlways({ status: 503 });
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "access-1"]);
    await world.clock.advance(8_999);
    expect(await world.fresh()).toBe("access-1");
    await world.clock.advance(1);
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["unavailable: back_off", 2]);
    await world.clock.advance(9_999);
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["unavailable: http_503", 3]);
  });

  test("slow: callers wait for the new token while the old one can be served, and then get the old one", async () => {
    const world = await nearItsEnd(6_000);
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh()];
    await gate.arrived();
    let answered = false;
    void Promise.race(waiting).then(() => (answered = true));
    await world.clock.advance(4_900);
    expect(answered).toBe(false);
    await world.clock.advance(100);
    expect(await Promise.all(waiting)).toEqual(["access-1", "access-1"]);
    gate.release();
    await until("the new token", () => world.cached() === "access-2");
  });

  test("slow: a caller with less time than that gets the old token at its own deadline", async () => {
    const world = await nearItsEnd(9_000);
    const gate = world.endpoint.hold();
    const waiting = world.fresh({ waitMs: 2_000 });
    await gate.arrived();
    await world.clock.advance(2_000);
    expect(await waiting).toBe("access-1");
    gate.release();
  });
});
