import { describe, expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { giveUp, hang, startReplicas } from "./hanging.ts";
import { acquireTheirs } from "./theirs.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();
const timeoutMs = 10_000;
const minute = 60_000;

/** Asks again and again until a token is there, for so long at most; how long that took on the clock, ms. */
async function servedAfter(world: World, longestMs: number): Promise<number | string> {
  const begunAt = world.clock.monotonicMs();
  const passedMs = () => world.clock.monotonicMs() - begunAt;
  while (passedMs() <= longestMs) {
    let words: string | undefined;
    void world.fresh({ waitMs: 400 }).then((given) => (words = given));
    const given = await until("an answer", async () => {
      if (words === undefined) await world.clock.advance(100);
      return words;
    });
    if (given.startsWith("access-")) return passedMs();
    if (!given.startsWith("unavailable")) return given;
    await world.clock.advance(100);
  }
  return "never";
}

describe("a call that hangs at a provider that never rotates", () => {
  const never = { neverRotates: true };
  const endpoint = { rotates: false };

  test("gives its lease up at refresh.timeout: another replica has a token a second later, without a hold-off", async () => {
    const { world, other } = await startReplicas(opened, never, endpoint);
    const { asked } = await hang(world);
    await world.clock.advance(timeoutMs - 1);
    expect(await acquireTheirs(world)).toBe("busy");
    await giveUp(world, 1);
    expect(await asked).toBe("unavailable: refresh_timeout");
    await world.clock.advance(1_000);
    expect([await other.fresh(), other.endpoint.calls]).toEqual(["access-2", 2]);
    expect(other.metrics.events.presented_again).toBeUndefined();
  });

  test("is answered after all: the tokens are stored where nobody has got any, and served", async () => {
    const { world, other } = await startReplicas(opened, never, endpoint);
    const { asked, answer } = await hang(world);
    await world.clock.advance(timeoutMs);
    await asked;
    answer();
    await until("the late answer is stored", () => world.events("late_answer").length === 1);
    expect(world.events("late_answer")).toMatchObject([{ outcome: "refreshed", provider: "tokens" }]);
    expect([await other.fresh(), await world.fresh(), world.endpoint.calls]).toEqual(["access-2", "access-2", 1]);
  });

  test("is answered after somebody else had an answer: what is stored stays", async () => {
    const { world, other } = await startReplicas(opened, never, endpoint);
    const { answer } = await hang(world);
    await world.clock.advance(timeoutMs + 1_000);
    expect(await other.fresh()).toBe("access-2");
    answer();
    await until("the late answer", () => world.events("late_answer").length === 1);
    expect([await other.fresh(), await world.fresh(), world.endpoint.calls]).toEqual(["access-2", "access-2", 2]);
  });

  test("is answered after the user has ended the session, which the store had lost: it stays ended", async () => {
    let isLost = false;
    const clock = manualClock();
    const kept = createMemoryStore({ clock, maxGrants: 10 });
    const empty = createMemoryStore({ clock, maxGrants: 10 });
    const held = () => (isLost ? empty : kept);
    const store: TokenStore = {
      ...kept,
      read: (key) => held().read(key),
      revoke: (...args) => held().revoke(...args),
      commit: (...args) => held().commit(...args),
    };
    const world = await startWorld(opened, { provider: never, endpoint, clock, store });
    await world.login("alice", { remainingMs: 0 });
    const { asked, answer } = await hang(world);
    await giveUp(world);
    await asked;
    isLost = true;
    expect(await world.tokens.endIf(world.key(), () => true)).toEqual({ kind: "ended" });
    answer();
    await until("the late answer", () => world.events("late_answer").length === 1);
    expect([world.events("late_answer"), await store.read(world.key())]).toMatchObject([
      [{ outcome: "missing" }],
      { kind: "revoked" },
    ]);
  });

  test("does not make the provider count as down where it answers later than anybody waits", async () => {
    const world = await startWorld(opened, { provider: never, endpoint });
    const sessions = Array.from({ length: 12 }, (_, at) => `user-${at}`);
    for (const session of sessions) await world.login(session, { remainingMs: 0 });
    const held = Promise.withResolvers<void>();
    world.endpoint.respondAlways(async (_, usual) => {
      await held.promise;
      return usual();
    });
    const asked = sessions.map((session) => world.fresh({ session }));
    await until("the calls", () => world.endpoint.calls === sessions.length);
    await world.clock.advance(timeoutMs);
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["unavailable: refresh_timeout"]));
    held.resolve();
    await until("the late answers", () => world.events("late_answer").length === sessions.length);
    expect(world.metrics.breakerStates).toEqual([]);
    expect(await world.fresh({ session: "user-7" })).toMatch(/^access-/);
    expect(world.endpoint.calls).toBe(sessions.length);
  });

  test("never rests longer than a second, however often it hangs", async () => {
    const { world } = await startReplicas(opened, never, endpoint);
    for (let time = 0; time < 4; time++) {
      const { asked } = await hang(world);
      await world.clock.advance(timeoutMs);
      await asked;
      await world.clock.advance(1_000);
    }
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["access-2", 5]);
  });

  test("is said in vain where the provider rotates all the same: from then on its tokens are good for one use", async () => {
    const { world } = await startReplicas(opened, never);
    expect(await world.fresh()).toBe("access-2");
    expect(world.events("rotation")).toMatchObject([{ level: "error", upstream: "crm" }]);
    await world.clock.advance(3_600_000);
    expect(await world.fresh()).toBe("access-3");
    expect([world.events("rotation").length, world.metrics.events.unexpected_rotation]).toEqual([1, 2]);
    await world.clock.advance(3_600_000);
    const { asked } = await hang(world);
    await world.clock.advance(timeoutMs);
    expect(await asked).toBe("unavailable: refresh_timeout");
    expect(await acquireTheirs(world)).toBe("busy");
  });
});

describe("a call that hangs at a provider with a grace", () => {
  const grace = { graceMs: 10 * minute };
  const endpoint = { reuseGraceMs: 10 * minute };

  test("gives its lease up at refresh.timeout; the token is presented again inside the grace, after back-off and hold-off", async () => {
    const { world, other } = await startReplicas(opened, grace, endpoint);
    await hang(world);
    await giveUp(world);
    expect(await servedAfter(other, 10_000)).toBeGreaterThanOrEqual(4_000);
    expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([2, 0]);
    expect(other.metrics.events.presented_again).toBe(1);
  });

  test("is answered during the other's hold-off: that one adopts what came, and presents nothing", async () => {
    const { world, other } = await startReplicas(opened, grace, endpoint);
    const { answer } = await hang(world);
    await giveUp(world);
    await world.clock.advance(1_100);
    const waiting = other.fresh();
    await until("the other has the lease", () => other.store.calls.acquire === 1);
    answer();
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 1]);
    expect(await world.fresh()).toBe("access-2");
  });

  test("is redeemed late, after another presentation had been answered: that is inside the grace, and the login lives", async () => {
    const { world, other } = await startReplicas(opened, grace, endpoint);
    const { answer } = await hang(world);
    await world.clock.advance(timeoutMs);
    expect(await servedAfter(other, 10_000)).toBeGreaterThanOrEqual(4_000);
    await world.clock.advance(40_000);
    answer();
    await until("the late answer", () => world.events("late_answer").length === 1);
    await world.clock.advance(3_600_000);
    expect([await other.fresh(), world.endpoint.tokens.reuses]).toMatchObject([expect.stringMatching(/^access-/), 0]);
  });

  test("keeps its lease until the store has heard that it was given up: until then nobody knows how long an answer may come", async () => {
    const { world, other } = await startReplicas(opened, grace, endpoint);
    await hang(world);
    world.store.down.add("release");
    await world.clock.advance(timeoutMs);
    await until("the first try", () => world.store.calls.release === 1);
    await world.clock.advance(20_000);
    const waiting = other.fresh();
    await until("the other waits", () => other.metrics.events.lease_busy === 1);
    world.store.down.clear();
    await world.clock.advance(1_000);
    expect(await waiting).toBe("unavailable: back_off");
    expect(world.endpoint.calls).toBe(1);
  });

  test("keeps its lease where a redemption a minute late would be outside the grace", async () => {
    const { world, other } = await startReplicas(opened, { graceMs: 70_000 }, { reuseGraceMs: 70_000 });
    const { answer } = await hang(world);
    await world.clock.advance(50_000);
    expect(await acquireTheirs(world)).toBe("busy");
    const waiting = other.fresh();
    await until("the other waits", () => other.metrics.events.lease_busy === 1);
    answer();
    expect([await waiting, world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual(["access-2", 1, 0]);
  });

  test("keeps others away, once the grace does not last for them, until no answer can come any more", async () => {
    // The overlap ends 20 s after the first presentation; the second one has hung as well.
    const { world, other } = await startReplicas(opened, { graceMs: 80_000 }, { reuseGraceMs: 80_000 });
    await hang(world);
    await giveUp(world);
    await world.clock.advance(11_000);
    const { calls } = world.endpoint;
    const waiting = other.fresh();
    await until("the other waits", () => other.metrics.events.lease_busy === 1);
    await other.clock.advance(10_000);
    expect([await waiting, world.endpoint.calls]).toEqual(["unavailable: refresh_timeout", calls]);
    expect(await servedAfter(other, minute)).toBeGreaterThanOrEqual(25_000);
  });
});

describe("a call that hangs where nothing is known of rotation", () => {
  test("keeps its lease for as long as an answer may come", async () => {
    const { world } = await startReplicas(opened, {});
    const { answer } = await hang(world);
    await world.clock.advance(59_000);
    expect(await acquireTheirs(world)).toBe("busy");
    answer();
    await until("the answer is stored", () => world.store.calls.commit === 1);
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["access-2", 1]);
  });

  test("gives it up after refresh.giveUp where the operator says so", async () => {
    const { world } = await startReplicas(opened, {}, {}, { giveUpMs: 20_000 });
    await hang(world);
    await world.clock.advance(19_999);
    expect(await acquireTheirs(world)).toBe("busy");
    await giveUp(world, 1);
  });

  test("backs off shorter once an answer has left the token in place, and as before once one has not", async () => {
    const { world } = await startReplicas(opened, {}, { rotates: false });
    const backOff = async () => {
      world.endpoint.respondNext({ status: 500 });
      await world.clock.advance(3_600_000);
      const answer = await world.answer();
      return answer.kind === "unavailable" ? answer.retryAfterMs : answer.kind;
    };
    expect(await backOff()).toBe(5_000);
    await world.clock.advance(5_000);
    expect(await world.fresh()).toBe("access-2");
    expect(await backOff()).toBe(1_000);
    world.endpoint.tokens.options.rotates = true;
    await world.clock.advance(1_000);
    expect(await world.fresh()).toBe("access-3");
    expect(await backOff()).toBe(5_000);
  });
});
