import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { acquireTheirs, commitTheirs, versionOf } from "./theirs.ts";
import { startWorld } from "./world.ts";

const opened = resources();

/** Alice's refresh waits in the queue behind Bob's, which the provider holds back; another replica looks on. */
async function queued() {
  const world = await startWorld(opened, { provider: { maxConcurrency: 1 } });
  const other = world.replica();
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  const version = await versionOf(other);
  const { read } = world.store.calls;
  const gate = world.endpoint.hold();
  const bob = world.fresh({ session: "bob" });
  await gate.arrived();
  const alice = world.fresh();
  await until("Alice's read", () => world.store.calls.read === read + 2);
  return { world, other, version, gate, alice, bob };
}

test("100 sessions ask no more of the provider at a time than maxConcurrency, and are all served", async () => {
  const world = await startWorld(opened, { provider: { maxConcurrency: 3 } });
  const sessions = Array.from({ length: 100 }, (_, at) => `session-${at}`);
  for (const session of sessions) await world.login(session, { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const waiting = sessions.map((session) => world.fresh({ session }));
  await gate.arrived(3);
  await world.clock.advance(1_000);
  expect([world.endpoint.calls, world.store.calls.acquire]).toEqual([3, 3]); // nobody has a lease while in the queue
  gate.release();
  expect(new Set(await Promise.all(waiting)).size).toBe(100);
  expect([world.endpoint.calls, world.endpoint.maxConcurrent, world.endpoint.tokens.reuses]).toEqual([100, 3, 0]);
});

test("who waits for another replica's lease holds no slot: a session that another replica refreshes holds up nobody", async () => {
  const world = await startWorld(opened, { provider: { maxConcurrency: 1 } });
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  await acquireTheirs(world.replica());
  void world.fresh();
  await until("the wait for the lease", () => world.metrics.events.lease_busy === 1);
  expect(await world.fresh({ session: "bob" })).toBe("access-3");
});

test("who holds off holds no slot: of 180 sessions that another replica left marked none keeps an unrelated one from the provider", async () => {
  const world = await startWorld(opened);
  const other = world.replica();
  const marked = Array.from({ length: 180 }, (_, at) => `session-${at}`);
  for (const session of marked) {
    await world.login(session, { remainingMs: 0 });
    await acquireTheirs(other, { session, leaseMs: 1_000 });
  }
  await world.login("bob", { remainingMs: 0 });
  await world.clock.advance(1_000);
  const waiting = marked.map((session) => world.fresh({ session }));
  await until("all leases", () => world.store.calls.acquire === 180);
  expect([await world.fresh({ session: "bob" }), world.endpoint.calls]).toEqual([expect.stringMatching(/^access/), 1]);
  await world.clock.advance(3_000);
  for (const words of await Promise.all(waiting)) expect(words).toMatch(/^access/);
  expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([181, 0]);
  expect(world.endpoint.maxConcurrent).toBeLessThanOrEqual(32);
});

test("who waits for a slot after the hold-off keeps the lease, and looks a last time: what came meanwhile is adopted, also where no message tells of it", async () => {
  const world = await startWorld(opened, { provider: { maxConcurrency: 1 } });
  const other = world.replica();
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  const version = await versionOf(other);
  await acquireTheirs(other, { leaseMs: 1_000 });
  await world.clock.advance(1_000);
  const alice = world.fresh();
  await until("the lease", () => world.store.calls.acquire === 1);
  const gate = world.endpoint.hold();
  const bob = world.fresh({ session: "bob" });
  await gate.arrived();
  world.store.subscription.silent = true;
  const { read } = world.store.calls;
  await world.clock.advance(6_000);
  await until("the end of the hold-off", () => world.store.calls.read >= read + 1);
  expect(await acquireTheirs(other, { attempt: "third" })).toBe("busy");
  await commitTheirs(other, version);
  gate.release();
  expect([await alice, await bob, world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([
    "access-4",
    "access-3",
    1,
    0,
  ]);
});

test("who waits for the store to take new tokens holds no slot: a store that hangs does not keep others from the provider", async () => {
  const world = await startWorld(opened, { provider: { maxConcurrency: 1 } });
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  const gate = world.store.holdReply("commit");
  const alice = world.fresh();
  await gate.arrived();
  expect(await world.fresh({ session: "bob" })).toBe("access-4");
  gate.release();
  expect(await alice).toBe("access-3");
});

test("who comes too late out of the queue asks neither store nor provider: its callers are gone", async () => {
  const world = await startWorld(opened, { provider: { maxConcurrency: 1 } });
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  void world.fresh();
  await gate.arrived();
  const bob = world.fresh({ session: "bob" });
  await world.clock.advance(10_000);
  expect(await bob).toBe("unavailable: refresh_timeout");
  gate.release();
  await world.tokens.settled();
  expect([world.endpoint.calls, world.store.calls.acquire]).toEqual([1, 1]);
  expect(await world.fresh({ session: "bob" })).toBe("access-4");
});

test("who is still in the queue when another replica stores new tokens leaves it for them: neither turn nor lease is asked for", async () => {
  const { world, other, version, gate, alice, bob } = await queued();
  await commitTheirs(other, version);
  expect(await alice).toBe("access-4");
  gate.release();
  expect(await bob).toBe("access-3");
  await world.tokens.settled();
  expect([world.store.calls.acquire, world.endpoint.calls, world.metrics.events.adopted]).toEqual([1, 1, 1]);
});

test("who is still in the queue when another replica gives the lease back keeps its place: nothing has changed", async () => {
  const { world, other, gate, alice, bob } = await queued();
  await world.login("carol", { remainingMs: 0 });
  const carol = world.fresh({ session: "carol" });
  await acquireTheirs(other);
  await other.store.release(other.key(), { attempt: "theirs", unused: true, backOffMs: 0 });
  gate.release();
  // In the order in which they came to the provider.
  expect([await bob, await alice, await carol]).toEqual(["access-3", "access-5", "access-6"]);
});

test("who is still in the queue when its session is revoked leaves it: nothing is asked of store or provider for it", async () => {
  const { world, other, gate, alice, bob } = await queued();
  await other.tokens.revoke(other.key());
  expect(await alice).toBe("missing");
  gate.release();
  expect(await bob).toBe("access-3");
  await world.tokens.settled();
  expect([world.store.calls.acquire, world.endpoint.calls]).toEqual([1, 1]);
});
