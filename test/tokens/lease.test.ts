import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { refreshing } from "./hanging.ts";
import { acquireTheirs } from "./theirs.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** The row stands as it was before the lease was acquired. */
async function loseLease({ store, key }: World): Promise<void> {
  const read = await store.read(key());
  if (read.kind !== "found") throw new Error(`the grant is ${read.kind}`);
  const { version, grant, life } = read.row;
  await store.put(key(), { version: "between", grant, life });
  await store.put(key(), { version, grant, life });
}

/** A refresh whose answer the provider holds back, and another replica. */
async function refreshingBesideAnother() {
  const { world, gate } = await refreshing(opened);
  return { world, other: world.replica(), gate };
}

describe("a lease", () => {
  test("is renewed while the provider's answer is on its way, past its first end: nobody else presents the token", async () => {
    const { world, other, gate } = await refreshingBesideAnother();
    await world.clock.advance(40_000);
    expect(await acquireTheirs(other)).toBe("busy");
    const second = other.fresh();
    await until("the second to wait", () => other.metrics.events.lease_busy === 1);
    gate.release();
    await world.tokens.settled();
    expect([await second, await world.fresh(), world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([
      "access-2",
      "access-2",
      1,
      0,
    ]);
    expect(world.metrics.events.lease_lost).toBeUndefined();
  });

  test("is renewed while the store does not take the tokens, past its first end", async () => {
    const { world, other, gate } = await refreshingBesideAnother();
    world.store.down.add("commit");
    gate.release();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.clock.advance(40_000);
    expect(await acquireTheirs(other)).toBe("busy");
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect([await other.fresh(), await world.storedRefreshToken(), world.endpoint.calls]).toEqual([
      "access-2",
      "refresh-2",
      1,
    ]);
  });

  test("outlives renewals that fail, where a later one comes in time", async () => {
    const { world, other } = await refreshingBesideAnother();
    world.store.down.add("renew");
    await world.clock.advance(14_000);
    world.store.down.clear();
    await world.clock.advance(1_000);
    await world.clock.advance(14_000);
    expect([await acquireTheirs(other), world.metrics.events.lease_lost]).toEqual(["busy", undefined]);
  });

  test("that another attempt has meanwhile counts as lost and is left to it; what the provider answers is stored all the same", async () => {
    const { world, other, gate } = await refreshingBesideAnother();
    world.store.down.add("renew");
    await world.clock.advance(15_000);
    expect(await acquireTheirs(other)).toBe("acquired");
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect(world.metrics.events.lease_lost).toBe(1);
    expect(world.events("lease_lost")).toMatchObject([
      { level: "warn", upstream: "crm", session: world.key().session.slice(0, 12) },
    ]);
    await world.clock.advance(13_000);
    expect(await other.store.renew(other.key(), "theirs", 15_000)).toBe(true);
    gate.release();
    await world.tokens.settled();
    expect([await world.storedRefreshToken(), await world.fresh(), await other.fresh()]).toEqual([
      "refresh-2",
      "access-2",
      "access-2",
    ]);
    expect([world.endpoint.calls, world.metrics.events.lease_lost]).toEqual([1, 1]);
  });

  test("that stands in the way and is renewed by nobody, as one that a failover brought back, is followed by this one", async () => {
    const { world, other, gate } = await refreshingBesideAnother();
    await loseLease(world);
    await acquireTheirs(other, { leaseMs: 12_000, attempt: "of the past" });
    await world.clock.advance(20_000);
    expect([await acquireTheirs(other), world.metrics.events.lease_lost]).toEqual(["busy", 1]);
    gate.release();
    await world.tokens.settled();
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });

  test("that the store lost is taken again at the next renewal, though nobody told of a gap", async () => {
    const { world, other } = await refreshingBesideAnother();
    await loseLease(world);
    await world.clock.advance(5_000);
    expect(await acquireTheirs(other)).toBe("busy");
  });

  test("that the store lost with the tokens it is on is taken again as soon as those are back, while all others hold off", async () => {
    const { world, other } = await refreshingBesideAnother();
    const read = await other.store.read(other.key());
    if (read.kind !== "found") throw new Error(read.kind);
    const { version, grant, life } = read.row;
    await other.store.put(other.key(), { version: "predecessor", grant, life });
    await other.store.commit(other.key(), "predecessor", { version, grant, life }, 3_000);
    expect(await acquireTheirs(other)).toBe("busy");
    const { acquire } = world.store.calls;
    world.store.subscription.gap();
    await until("the lease", () => world.store.calls.acquire > acquire);
    const another = { attempt: "theirs", seen: version, leaseMs: 15_000, usableMs: 1_000, again: true };
    expect((await other.store.acquire(other.key(), another)).kind).toBe("busy");
    await world.clock.advance(3_000);
    expect(await acquireTheirs(other)).toBe("busy");
  });

  test.each([
    ["tokens", {}],
    ["a refusal", { status: 400, body: { error: "invalid_grant" } }],
    ["an answer that is none", { status: 500 }],
    ["a request to wait", { status: 429 }],
  ])("ends with its refresh, and so do the renewals: %s", async (name, response) => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    if (name !== "tokens") world.endpoint.respondNext(response);
    await world.fresh();
    await world.tokens.settled();
    expect(await acquireTheirs(other)).not.toBe("busy");
    await world.clock.advance(90_000);
    expect(world.store.calls.renew).toBe(0);
    expect(world.clock.pending).toBe(0);
  });
});
