import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { acquireTheirs, commitTheirs, versionOf } from "./theirs.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** A grant whose refresh another replica had begun when it vanished; its lease has just run out. */
async function abandoned() {
  const world = await startWorld(opened);
  const other = world.replica();
  await world.login("alice", { remainingMs: 0 });
  const version = await versionOf(other);
  await acquireTheirs(other);
  await world.clock.advance(15_000);
  return { world, other, version };
}

/** Asks, and resolves once the process has the lease and holds off. */
async function heldOff(world: World): Promise<{ readonly waiting: Promise<string> }> {
  const { acquire } = world.store.calls;
  const waiting = world.fresh();
  await until("the lease", () => world.store.calls.acquire > acquire);
  return { waiting };
}

/** The next refresh presents the token when the hold-off is over, and not before. */
async function holdsOffFirst(world: World): Promise<void> {
  const { calls } = world.endpoint;
  const { waiting } = await heldOff(world);
  await world.clock.advance(2_999);
  expect(world.endpoint.calls).toBe(calls);
  await world.clock.advance(1);
  expect([await waiting, world.endpoint.calls]).toEqual(["access-2", calls + 1]);
}

describe("a refresh token that another replica may have redeemed", () => {
  test("is not presented for refresh.holdOff, as its new tokens may be on their way to the store", async () => {
    const { world } = await abandoned();
    const { waiting } = await heldOff(world);
    await world.clock.advance(2_999);
    expect([world.endpoint.calls, world.metrics.events.presented_again]).toEqual([0, undefined]);
    await world.clock.advance(1);
    expect([await waiting, world.endpoint.calls, world.metrics.events.presented_again]).toEqual(["access-2", 1, 1]);
  });

  test("is not presented where they come in that time: they are adopted, also where no message tells of them", async () => {
    const { world, other, version } = await abandoned();
    world.store.subscription.silent = true;
    const { waiting } = await heldOff(world);
    await world.clock.advance(2_700);
    await commitTheirs(other, version);
    await world.clock.advance(300);
    expect([await waiting, world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual(["access-2", 0, 0]);
    expect([world.metrics.events.adopted, world.metrics.events.presented_again]).toEqual([1, undefined]);
    expect(await versionOf(other)).toBe("theirs");
  });

  test("a message wakes those who hold off: nobody waits for the rest of the time", async () => {
    const { world, other, version } = await abandoned();
    const { waiting } = await heldOff(world);
    await commitTheirs(other, version);
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 0]);
  });

  test("a message that says nothing new does not end the hold-off", async () => {
    const { world, version } = await abandoned();
    const { waiting } = await heldOff(world);
    await world.clock.advance(1_000);
    world.store.subscription.changed({ ...world.key(), version });
    await world.clock.advance(1_999);
    expect(world.endpoint.calls).toBe(0);
    await world.clock.advance(1);
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test.each([
    [
      "a refusal",
      "refused: invalid_grant",
      ({ store, key }: World, version: string) => store.refuse(key(), version, "invalid_grant"),
    ],
    ["a logout", "missing", ({ store, key }: World) => store.revoke(key(), "tombstone")],
  ])("nor is it presented after %s in that time", async (_, answer, end) => {
    const { world, other, version } = await abandoned();
    const { waiting } = await heldOff(world);
    await end(other, version);
    expect([await waiting, world.endpoint.calls]).toEqual([answer, 0]);
  });

  test("nor where the store cannot be read: the lease is given back, and the next one holds off again", async () => {
    const { world } = await abandoned();
    const { waiting } = await heldOff(world);
    world.store.down.add("read");
    await world.clock.advance(500);
    expect([await waiting, world.endpoint.calls]).toEqual(["unavailable: store_unavailable", 0]);
    world.store.down.clear();
    await holdsOffFirst(world);
  });
});

describe("an attempt of this very process that ended without tokens", () => {
  test("is not waited for: nobody will store what came of it", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 500 });
    expect(await world.fresh()).toBe("unavailable: http_500");
    await world.clock.advance(5_000);
    expect([await world.fresh(), world.metrics.events.presented_again]).toEqual(["access-2", 1]);
  });

  test("is waited for by other replicas, who cannot know", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 500 });
    await world.fresh();
    await world.clock.advance(5_000);
    await holdsOffFirst(other);
  });

  test("does not hide another replica's attempt after it", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 500 });
    await world.fresh();
    await world.clock.advance(5_000);
    expect(await acquireTheirs(world.replica(), { leaseMs: 1_000 })).toBe("acquired");
    await world.clock.advance(1_000);
    await holdsOffFirst(world);
  });

  test("does not hide another replica's attempt before it", async () => {
    const { world } = await abandoned();
    world.endpoint.respondNext({ status: 500 });
    const { waiting } = await heldOff(world);
    await world.clock.advance(3_000);
    expect(await waiting).toBe("unavailable: http_500");
    await world.clock.advance(5_000);
    await holdsOffFirst(world);
  });

  test("that left the token unused leaves nothing to wait for, on any replica", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 429 });
    expect(await world.fresh()).toBe("unavailable: http_429");
    await world.clock.advance(1_000);
    expect([await other.fresh(), other.metrics.events.presented_again]).toEqual(["access-2", undefined]);
  });
});

describe("after a gap, in which the store may have lost a commit and its marker", () => {
  test("nobody presents a token for refresh.holdOff: whoever has the newer one writes it again in that time", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.subscription.gap();
    const { waiting } = await lookedAt(world);
    await world.clock.advance(2_999);
    expect(world.endpoint.calls).toBe(0);
    await world.clock.advance(1);
    expect([await waiting, world.endpoint.calls, world.metrics.events.presented_again]).toEqual([
      "access-2",
      1,
      undefined,
    ]);
  });

  test("adopts what is written again, without a call to the provider", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    const version = await versionOf(other);
    world.store.subscription.gap();
    const { waiting } = await lookedAt(world);
    await commitTheirs(other, version);
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 0]);
  });

  test("that is longer ago nobody waits; nor at the start, when nothing can have been missed", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.subscription.gap();
    await world.clock.advance(3_000);
    expect(await world.fresh()).toBe("access-2");
    const starting = await startWorld(opened, { heartbeats: "by hand" });
    starting.store.subscription.gap();
    await starting.login("alice", { remainingMs: 0 });
    expect(await starting.fresh()).toBe("access-2");
  });
});

/** A request that has read the grant and waits. */
async function lookedAt(world: World): Promise<{ readonly waiting: Promise<string> }> {
  const { read } = world.store.calls;
  const waiting = world.fresh();
  await until("the look at the grant", () => world.store.calls.read > read);
  return { waiting };
}
