import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { acquireTheirs, commitTheirs, versionOf } from "./theirs.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** A refresh that waits, as another replica has the lease. */
async function waitingForTheirs({ leaseMs = 15_000, heartbeats = "real" as "real" | "by hand" } = {}) {
  const world = await startWorld(opened, { heartbeats });
  const other = world.replica();
  await world.login("alice", { remainingMs: 0 });
  const version = await versionOf(other);
  await acquireTheirs(other, { leaseMs });
  const waiting = world.fresh();
  await untilBusy(world);
  return { world, other, version, waiting };
}

async function untilBusy({ metrics }: World, times = 1): Promise<void> {
  await until("the wait for the lease", () => metrics.events.lease_busy === times);
}

describe("a refresh that finds the lease taken", () => {
  test("is woken by the commit and serves what it brought: no time passes, and the provider is not called", async () => {
    const { world, other, version, waiting } = await waitingForTheirs();
    await commitTheirs(other, version);
    expect([await waiting, world.endpoint.calls, world.store.calls.acquire]).toEqual(["access-2", 0, 2]);
    expect(world.metrics.events).toMatchObject({ lease_busy: 1, adopted: 1 });
  });

  test("is woken by the release, and refreshes where the token was not used", async () => {
    const { world, other, waiting } = await waitingForTheirs();
    await other.store.release(world.key(), { attempt: "theirs", unused: true, backOffMs: 0 });
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("is woken by the release, and keeps to its back-off", async () => {
    const { world, other, waiting } = await waitingForTheirs();
    await other.store.release(world.key(), { attempt: "theirs", unused: true, backOffMs: 2_000 });
    expect([await waiting, world.endpoint.calls]).toEqual(["unavailable: back_off", 0]);
  });

  test.each([
    [
      "a refusal",
      "refused: invalid_grant",
      ({ store, key }: World, version: string) => store.refuse(key(), version, "invalid_grant"),
    ],
    ["a logout", "missing", ({ store, key }: World) => store.revoke(key(), "tombstone")],
  ])("is woken by %s", async (_, answer, end) => {
    const { world, other, version, waiting } = await waitingForTheirs();
    await end(other, version);
    expect([await waiting, world.endpoint.calls]).toEqual([answer, 0]);
  });

  test("looks again at the lease's end, where its holder is gone or no message came", async () => {
    const { world, other, version, waiting } = await waitingForTheirs({ leaseMs: 6_000 });
    world.store.subscription.silent = true;
    await commitTheirs(other, version);
    await world.clock.advance(5_999);
    expect(world.store.calls.acquire).toBe(1);
    await world.clock.advance(1);
    expect([await waiting, world.store.calls.acquire, world.endpoint.calls]).toEqual(["access-2", 2, 0]);
  });

  test("looks again after cache.maxStaleness where its subscription is dead: what has become of the grant may not have been heard", async () => {
    const { world, other, waiting } = await waitingForTheirs({ heartbeats: "by hand" });
    world.store.subscription.silent = true;
    await other.store.revoke(world.key(), "tombstone");
    await world.clock.advance(4_999);
    expect(world.store.calls.acquire).toBe(1);
    await world.clock.advance(1);
    expect([await waiting, world.endpoint.calls]).toEqual(["missing", 0]);
  });

  test("waits as long as a refresh may take, and no caller longer than its own deadline", async () => {
    const { world, other, version, waiting } = await waitingForTheirs();
    const hasty = world.fresh({ waitMs: 2_000 });
    await world.clock.advance(2_000);
    expect(await hasty).toBe("unavailable: deadline");
    await world.clock.advance(8_000);
    expect([await waiting, world.store.calls.acquire, world.endpoint.calls]).toEqual([
      "unavailable: refresh_timeout",
      1,
      0,
    ]);
    await world.tokens.settled();
    await commitTheirs(other, version);
    expect(await world.fresh()).toBe("access-2");
  });
});

test("who waits with a token in hand that is dropped just before its end goes on waiting, until its own deadline", async () => {
  const world = await startWorld(opened);
  const other = world.replica();
  await world.login();
  const version = await versionOf(other);
  await world.fresh();
  await world.clock.advance(3_592_000);
  await acquireTheirs(other);
  const waiting = world.fresh();
  await untilBusy(world);
  world.store.subscription.changed({ ...world.key(), version: "hearsay" });
  await untilBusy(world, 2);
  await world.clock.advance(7_000);
  await commitTheirs(other, version);
  expect(await waiting).toBe("access-2");
});

describe("50 replicas that want one grant do not queue for its lease one by one", () => {
  /** The first of them refreshes, or has vanished with the lease; 50 more wait. */
  async function fiftyWaiting(begin: (world: World) => Promise<unknown>) {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    await begin(world);
    const replicas = Array.from({ length: 50 }, () => world.replica());
    const waiting = replicas.map((replica) => replica.fresh());
    await Promise.all(replicas.map((replica) => untilBusy(replica)));
    const acquires = () => replicas.reduce((sum, { store }) => sum + store.calls.acquire, 0);
    return { world, answers: async () => new Set(await Promise.all(waiting)), acquires };
  }

  test("the commit serves them all at once, at a single further look each", async () => {
    const gate = Promise.withResolvers<void>();
    const { world, answers, acquires } = await fiftyWaiting(async (world) => {
      world.endpoint.respondNext(async (_, usual) => {
        await gate.promise;
        return usual();
      });
      void world.fresh();
      await until("the request", () => world.endpoint.calls === 1);
    });
    gate.resolve();
    expect(await answers()).toEqual(new Set(["access-2"]));
    expect([world.endpoint.calls, acquires()]).toEqual([1, 100]);
  });

  test("a failure fails them all at once: nobody tries again one after another", async () => {
    const gate = Promise.withResolvers<void>();
    const { world, answers, acquires } = await fiftyWaiting(async (world) => {
      world.endpoint.respondNext(async () => {
        await gate.promise;
        return { status: 503 };
      });
      void world.fresh();
      await until("the request", () => world.endpoint.calls === 1);
    });
    gate.resolve();
    expect(await answers()).toEqual(new Set(["unavailable: back_off"]));
    expect([world.endpoint.calls, acquires()]).toEqual([1, 100]);
  });

  test("where the holder has vanished one of them takes over, and the others get what it gets", async () => {
    const { world, answers, acquires } = await fiftyWaiting((world) => acquireTheirs(world, { leaseMs: 5_000 }));
    await world.clock.advance(5_000);
    await world.clock.advance(3_000);
    expect(await answers()).toEqual(new Set(["access-2"]));
    expect([world.endpoint.calls, world.endpoint.tokens.reuses, acquires()]).toEqual([1, 0, 50 + 50 + 49]);
  });
});

describe("an acquire whose reply was lost, so that the lease may be held or not", () => {
  test("calls no provider and gives the lease back: the next one refreshes at once", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.deaf.add("acquire");
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["unavailable: store_unavailable", 0]);
    world.store.deaf.clear();
    expect([await world.replica().fresh(), world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("which cannot be given back either runs out: nobody presents the token before", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    world.store.deaf.add("acquire");
    world.store.down.add("release");
    expect(await world.fresh()).toBe("unavailable: store_unavailable");
    await until("the word", () => world.events("release_failed").length === 1);
    await world.clock.advance(5_001);
    const waiting = other.fresh();
    await untilBusy(other);
    await world.clock.advance(9_998);
    expect([world.endpoint.calls, other.store.calls.acquire]).toEqual([0, 1]);
    await world.clock.advance(1);
    expect([world.endpoint.calls, other.store.calls.acquire]).toEqual([0, 2]);
    await world.clock.advance(1);
    expect(await waiting).toBe("unavailable: refresh_timeout"); // it goes on: the hold-off, then the call
    await world.clock.advance(2_999);
    await other.tokens.settled();
    expect([other.cached(), world.endpoint.calls, other.metrics.events.presented_again]).toEqual(["access-2", 1, 1]);
  });

  test("costs nobody a token that is still of use", async () => {
    const world = await startWorld(opened);
    await world.login();
    await world.fresh();
    await world.clock.advance(3_595_000);
    world.store.deaf.add("acquire");
    expect([world.cached(), await world.fresh(), world.endpoint.calls]).toEqual([undefined, "access-1", 0]);
  });
});
