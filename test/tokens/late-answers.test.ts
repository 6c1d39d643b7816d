import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { giveUp, hang, startReplicas } from "./hanging.ts";

const opened = resources();
const timeoutMs = 10_000;
const grace = { graceMs: 600_000 };
const endpoint = { reuseGraceMs: 600_000 };

describe("a call that was given up inside a grace", () => {
  test("gives its lease up although the store's reply gets lost: that is no lost lease", async () => {
    const { world } = await startReplicas(opened, grace, endpoint);
    await hang(world);
    world.store.deaf.add("release");
    await giveUp(world);
    await world.clock.advance(6_000);
    await until("renewals, and another try", () => world.store.calls.renew > 1 && world.store.calls.release > 1);
    world.store.deaf.clear();
    await world.clock.advance(1_000);
    expect([world.events("lease_lost"), world.metrics.events.lease_lost]).toEqual([[], undefined]);
  });

  test("is answered while the same process holds off after it: that adopts what came, and presents nothing", async () => {
    const { world } = await startReplicas(opened, grace, endpoint);
    const { answer } = await hang(world);
    await giveUp(world);
    await world.clock.advance(1_100);
    const { read } = world.store.calls;
    const waiting = world.fresh();
    await until("the lease is taken", () => world.store.calls.acquire === 2);
    await world.clock.advance(500);
    await until("a look while holding off", () => world.store.calls.read > read + 1);
    answer();
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("is answered while a token is in hand: what this process had cached is served no more", async () => {
    const { world } = await startReplicas(opened, grace, endpoint);
    await world.login("bob", { remainingMs: 100_000 });
    expect(await world.fresh({ session: "bob" })).toBe("access-2");
    await world.clock.advance(55_000);
    const held = Promise.withResolvers<void>();
    world.endpoint.respondNext(async (_, usual) => {
      await held.promise;
      return usual();
    });
    expect(world.cached({ session: "bob" })).toBe("access-2");
    await until("the refresh ahead of need", () => world.endpoint.calls === 1);
    await giveUp(world);
    held.resolve();
    await until("the late answer is stored", () => world.events("late_answer").length === 1);
    expect([world.cached({ session: "bob" }), await world.fresh({ session: "bob" })]).toEqual([undefined, "access-3"]);
  });

  test("is left alone where the look before the sending takes so long that the grace does not last any more", async () => {
    const { world, other } = await startReplicas(opened, { graceMs: 80_000 }, { reuseGraceMs: 80_000 });
    await hang(world);
    await giveUp(world);
    await world.clock.advance(5_500);
    const waiting = other.fresh();
    await until("the other has the lease", () => other.store.calls.acquire === 1);
    const { read, renew } = other.store.calls;
    const look = other.store.holdReply("read");
    await world.clock.advance(500);
    await until("it looks", () => other.store.calls.read > read);
    await world.clock.advance(6_000);
    await until("its lease is renewed", () => other.store.calls.renew > renew);
    look.release();
    await until("it waits", () => other.metrics.events.lease_busy === 1);
    await world.clock.advance(timeoutMs);
    expect([await waiting, world.endpoint.calls]).toEqual(["unavailable: refresh_timeout", 1]);
  });
});
