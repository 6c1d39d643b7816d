import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { refreshing } from "./hanging.ts";
import { startWorld } from "./world.ts";

const opened = resources();

describe("one refresh for all who want it: a single-use refresh token presented twice ends the login", () => {
  test.each([10, 100])("%i concurrent callers", async (count) => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    const callers = Array.from({ length: count }, () => world.fresh());
    await gate.arrived();
    callers.push(world.fresh());
    gate.release();
    expect(new Set(await Promise.all(callers))).toEqual(new Set(["access-2"]));
    expect(world.endpoint.calls).toBe(1);
  });

  test("also where callers come again and again over many lives of the token", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    for (let life = 2; life < 12; life++) {
      expect(new Set(await Promise.all([1, 2, 3, 4, 5].map(() => world.fresh())))).toEqual(new Set([`access-${life}`]));
      await world.clock.advance(3_600_000);
    }
    expect([world.endpoint.calls, world.endpoint.maxConcurrent, world.endpoint.tokens.reuses]).toEqual([10, 1, 0]);
  });
});

test("sessions do not wait for each other: a slow refresh holds up its own session only", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  const held = Promise.withResolvers<void>();
  world.endpoint.respondNext(async (_, usual) => {
    const answer = usual();
    await held.promise;
    return answer;
  });
  const alice = world.fresh();
  await until("alice's refresh", () => world.endpoint.calls === 1);
  expect(await world.fresh({ session: "bob" })).toBe("access-4");
  held.resolve();
  expect(await alice).toBe("access-3");
});

test("a caller who gives up, even the first, cancels nothing: the others get the token", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const first = world.fresh({ waitMs: 1_000 });
  const others = [world.fresh({ waitMs: 5_000 }), world.fresh({ waitMs: 8_000 })];
  await gate.arrived();
  await world.clock.advance(1_000);
  expect(await first).toBe("unavailable: deadline");
  gate.release();
  expect(await Promise.all(others)).toEqual(["access-2", "access-2"]);
  expect([world.endpoint.calls, await world.storedRefreshToken()]).toEqual([1, "refresh-2"]);
});

test("with nobody left to wait the refresh still goes on and is stored, since the provider has used up the old token", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const only = world.fresh({ waitMs: 1_000 });
  await gate.arrived();
  await world.clock.advance(1_000);
  expect(await only).toBe("unavailable: deadline");
  gate.release();
  await world.tokens.settled();
  expect([await world.storedRefreshToken(), world.cached()]).toEqual(["refresh-2", "access-2"]);
});

describe("a provider that is slower than refresh.timeout", () => {
  test("costs its waiters the wait, not the tokens: the late response is stored and served", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh()];
    await gate.arrived();
    await world.clock.advance(10_000);
    expect(await Promise.all(waiting)).toEqual(["unavailable: refresh_timeout", "unavailable: refresh_timeout"]);
    expect(await world.fresh()).toBe("unavailable: refresh_timeout");
    gate.release();
    await world.tokens.settled();
    expect([world.cached(), await world.fresh(), await world.storedRefreshToken()]).toEqual([
      "access-2",
      "access-2",
      "refresh-2",
    ]);
    expect(world.endpoint.calls).toBe(1);
  });

  test("and than the life of what it issued: a token that is over on arrival is not forwarded", async () => {
    const { world, gate, waiting } = await refreshing(opened, { endpoint: { expiresIn: 5 } });
    await world.clock.advance(6_000);
    gate.release();
    expect(await waiting).toBe("unavailable: token_expired_meanwhile");
    expect(world.cached()).toBeUndefined();
    expect(await world.fresh()).toBe("access-3");
  });
});

describe("a refresh that fails", () => {
  test("fails its waiters together, and those who come within its back-off at once: they do not queue up to fail one by one", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 500 });
    const gate = world.endpoint.hold();
    const waiting = Array.from({ length: 20 }, () => world.fresh());
    await gate.arrived();
    gate.release();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["unavailable: http_500"]));
    expect(world.endpoint.calls).toBe(1);
    await world.clock.advance(4_999);
    expect(new Set(await Promise.all(waiting.map(() => world.fresh())))).toEqual(new Set(["unavailable: back_off"]));
    expect(world.endpoint.calls).toBe(1);
    await world.clock.advance(1);
    expect(await world.fresh()).toBe("access-2");
    expect(world.endpoint.calls).toBe(2);
  });

  test("does not happen on two replicas at once: the second waits, hears of the failure and keeps to its back-off", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    world.endpoint.respondNext({ status: 500 });
    const first = world.fresh();
    await gate.arrived();
    const second = other.fresh();
    await until("the second to wait", () => other.metrics.events.lease_busy === 1);
    gate.release();
    expect([await first, await second]).toEqual(["unavailable: http_500", "unavailable: back_off"]);
    expect([world.endpoint.calls, await world.storedRefreshToken()]).toEqual([1, "refresh-1"]);
    await world.clock.advance(5_000);
    expect(await Promise.all([world.fresh(), other.fresh()])).toEqual(["access-2", "access-2"]);
    expect([world.endpoint.calls, world.endpoint.maxConcurrent, world.endpoint.tokens.reuses]).toEqual([2, 1, 0]);
  });
});

describe("settled", () => {
  test("waits for an exchange that outlasts its callers, and for a commit that the store does not take: shutdown loses neither", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    world.store.down.add("commit");
    const caller = world.fresh({ waitMs: 100 });
    await gate.arrived();
    await world.clock.advance(10_000);
    expect(await caller).toBe("unavailable: deadline");
    let settled = false;
    const done = world.tokens.settled().then(() => (settled = true));
    gate.release();
    await until("the first write", () => world.store.calls.commit === 1);
    await world.clock.advance(3_000);
    expect(settled).toBe(false);
    world.store.down.clear();
    await world.clock.advance(1_000);
    await done;
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });

  test("waits for a refresh whose grant was put anew meanwhile, and resolves at once where nothing is under way", async () => {
    const world = await startWorld(opened);
    await world.tokens.settled();
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    const caller = world.fresh();
    await gate.arrived();
    await world.login();
    expect(await caller).toBe("access-3");
    let settled = false;
    const done = world.tokens.settled().then(() => (settled = true));
    await world.clock.advance(0);
    expect(settled).toBe(false);
    gate.release();
    await done;
  });
});
