import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { forgetfulWorld, presented, refreshed, untilHeld } from "./forgetful.ts";

const opened = resources();

describe("a logout that the store acknowledged and then lost in a failover", () => {
  test("is written again over the login that came back: the session stays ended", async () => {
    const { world, other, before, bringBack } = await refreshed(opened);
    await world.tokens.revoke(world.key());
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "revoked");
    expect([await other.fresh(), world.metrics.events.recommit, presented(world)]).toEqual([
      "missing",
      1,
      ["refresh-1"],
    ]);
    await world.clock.advance(61_000);
    expect([await world.storedRefreshToken(), world.clock.pending]).toEqual(["revoked", 0]);
  });

  test("is written again by whoever has seen it, where the one who stored it does not know what came back", async () => {
    const { world, other, before, bringBack } = await refreshed(opened);
    const { read } = world.store.calls;
    await other.tokens.revoke(world.key());
    await until("the look at what was written", () => world.store.calls.read > read);
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "revoked");
    expect([await world.storedRefreshToken(), world.metrics.events.recommit, other.metrics.events.recommit]).toEqual([
      "revoked",
      1,
      undefined,
    ]);
    await world.clock.advance(61_000);
    expect(world.clock.pending).toBe(0);
  });

  test("is written again where nothing is left of the row: a refresh under way elsewhere cannot create it anew", async () => {
    const { world, lose } = await refreshed(opened);
    await world.tokens.revoke(world.key());
    await lose();
    world.store.subscription.gap();
    await untilHeld(world, "revoked");
  });

  test("is written again over what a refresh of this process stored after that", async () => {
    const { world, row, bringBack } = await forgetfulWorld(opened);
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
    await untilHeld(world, "revoked");
    expect(await world.fresh()).toBe("missing");
  });

  test("takes the token with it that a request got meanwhile", async () => {
    const { world, row, bringBack } = await forgetfulWorld(opened);
    await world.login("alice");
    const before = await row();
    await world.tokens.revoke(world.key());
    await bringBack(before);
    expect([await world.fresh(), world.cached()]).toEqual(["access-1", "access-1"]);
    world.store.subscription.gap();
    await untilHeld(world, "revoked");
    expect([world.cached(), await world.fresh()]).toEqual([undefined, "missing"]);
  });

  test.each(["world", "other"] as const)("ends no login that came after it, on whichever replica: %s", async (by) => {
    const replicas = await refreshed(opened);
    const { world } = replicas;
    await world.tokens.revoke(world.key());
    await replicas[by].login("alice");
    world.store.subscription.gap();
    await world.clock.advance(60_000);
    expect([await world.storedRefreshToken(), world.metrics.events.recommit]).toEqual(["refresh-3", undefined]);
  });

  test("is not written again where the store never took it: the session goes on as its caller was told", async () => {
    const { world, before, bringBack } = await refreshed(opened);
    world.store.down.add("revoke");
    await expect(world.tokens.revoke(world.key())).rejects.toMatchObject({ code: "store_unavailable" });
    world.store.down.clear();
    await bringBack(before);
    world.store.subscription.gap();
    await untilHeld(world, "refresh-2");
    await world.clock.advance(60_000);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });
});

test("a login after a logout stays lost where a failover brings the logout back: an ended session is never written over", async () => {
  const { world, end } = await refreshed(opened);
  await world.tokens.revoke(world.key());
  const ended = await world.store.read(world.key());
  if (ended.kind !== "revoked") throw new Error(`the session is ${ended.kind}`);
  await world.login("alice");
  await end(ended.version);
  world.store.subscription.gap();
  await world.clock.advance(10_000);
  expect([await world.fresh(), world.endpoint.tokens.isActive("access-3")]).toEqual(["missing", true]);
});
