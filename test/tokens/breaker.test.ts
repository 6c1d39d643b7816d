import { describe, expect, test } from "vitest";
import { createLog } from "../../src/platform/log.ts";
import { createBreaker } from "../../src/tokens/breaker.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import type { Script } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { recordedMetrics } from "./recorded-metrics.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** Sessions whose tokens have expired. Each asks once: its own back-off plays no part. */
async function manySessions() {
  const world = (await startWorld(opened)) as World;
  let sessions = 0;
  async function expired(): Promise<string> {
    const session = `session-${sessions++}`;
    await world.login(session, { remainingMs: 0 });
    return session;
  }
  const ask = async () => world.fresh({ session: await expired() });
  const asked = async () => world.answer({ session: await expired() });
  async function fail(times: number, script: Script = { status: 503 }): Promise<void> {
    for (let time = 0; time < times; time++) {
      world.endpoint.respondNext(script);
      await ask();
    }
  }
  return { world, ask, asked, fail };
}

/** One request is let through when the breaker was open long enough, and fails. */
async function probeInVain({ world, fail }: Awaited<ReturnType<typeof manySessions>>, afterMs: number): Promise<void> {
  await world.clock.advance(afterMs);
  const { calls } = world.endpoint;
  await fail(1);
  expect(world.endpoint.calls).toBe(calls + 1);
}

describe("a provider that failed ten times in a row", () => {
  test.each<[string, Script]>([
    ["503", { status: 503 }],
    ["an unreadable 200", { body: "<html>" }],
    ["temporarily_unavailable", { status: 503, body: { error: "temporarily_unavailable" } }],
  ])("is left alone for 5 s, by all sessions: %s", async (_, script) => {
    const { world, asked, fail } = await manySessions();
    await fail(9, script);
    expect(world.metrics.breakerStates).toEqual([]);
    await fail(1, script);
    expect(world.metrics.breakerStates).toEqual(["open"]);
    expect(await asked()).toEqual({ kind: "unavailable", why: "breaker_open", retryAfterMs: 5_000 });
    await world.clock.advance(4_999);
    expect(await asked()).toEqual({ kind: "unavailable", why: "breaker_open", retryAfterMs: 1 });
    expect(world.endpoint.calls).toBe(10);
  });

  test("by connections that it cuts or refuses as well", async () => {
    const { world, ask } = await manySessions();
    for (let time = 0; time < 5; time++) {
      world.endpoint.closeAfterReading();
      await ask();
    }
    await world.endpoint.stop();
    for (let time = 0; time < 5; time++) await ask();
    expect([await ask(), world.metrics.breakerStates]).toEqual(["unavailable: breaker_open", ["open"]]);
  });

  test("is asked again by one request; while that runs the others are told to come back in a second", async () => {
    const { world, ask, asked, fail } = await manySessions();
    await fail(10);
    await world.clock.advance(5_000);
    const gate = world.endpoint.hold();
    const first = ask();
    await gate.arrived();
    expect([await asked(), world.metrics.breakerStates]).toEqual([
      { kind: "unavailable", why: "breaker_open", retryAfterMs: 1_000 },
      ["open", "half_open"],
    ]);
    expect(world.endpoint.calls).toBe(11);
    gate.release();
    expect(await first).toMatch(/^access/);
    expect([await ask(), world.metrics.breakerStates]).toEqual([
      expect.stringMatching(/^access/),
      ["open", "half_open", "closed"],
    ]);
  });

  test.each([
    ["is back, they are served", {}, /^access/, 2],
    ["is not, they are not sent", { status: 503 }, /^unavailable: breaker_open$/, 1],
  ])("is asked by one alone of those who come together: once it %s", async (_, script, expected, calls) => {
    const { world, ask, fail } = await manySessions();
    await fail(10);
    await world.clock.advance(5_000);
    if ("status" in script) world.endpoint.respondNext(script);
    const gate = world.endpoint.hold();
    const both = [ask(), ask()];
    await until("both leases", () => world.store.calls.acquire === 12);
    await gate.arrived();
    expect(world.endpoint.calls).toBe(11);
    gate.release();
    expect((await Promise.all(both))[1]).toMatch(expected);
    expect(world.endpoint.calls).toBe(10 + calls);
  });

  test("is left alone by this process, which tells the others nothing that it has not seen: whoever was not sent leaves no back-off and no marker", async () => {
    const { world, fail } = await manySessions();
    const other = world.replica();
    await fail(10);
    for (const session of ["alice", "bob"]) await world.login(session, { remainingMs: 0 });
    await world.clock.advance(5_000);
    world.endpoint.respondNext({ status: 503 });
    const gate = world.endpoint.hold();
    const both = ["alice", "bob"].map(async (session) => ({ session, words: await world.fresh({ session }) }));
    await until("both leases", () => world.store.calls.acquire === 12);
    await gate.arrived();
    gate.release();
    const answers = await Promise.all(both);
    expect(new Set(answers.map(({ words }) => words))).toEqual(
      new Set(["unavailable: http_503", "unavailable: breaker_open"]),
    );
    const unsent = answers.find(({ words }) => words === "unavailable: breaker_open");
    expect([await other.fresh({ session: unsent?.session ?? "" }), other.metrics.events.presented_again]).toEqual([
      expect.stringMatching(/^access/),
      undefined,
    ]);
  });

  test("is named in the log once when the breaker opens and once when it closes, however often it is tried in between", async () => {
    const sessions = await manySessions();
    const { world, ask, fail } = sessions;
    await fail(10);
    for (const seconds of [5, 10]) await probeInVain(sessions, seconds * 1_000);
    await ask();
    expect(world.events("breaker_open")).toMatchObject([{ level: "warn", upstream: "crm", failures: 10 }]);
    await world.clock.advance(20_000);
    await ask();
    expect([world.events("breaker_open").length, world.events("breaker_closed")]).toMatchObject([
      1,
      [{ level: "info", upstream: "crm" }],
    ]);
  });

  test("is left alone twice as long each time it fails again, a minute at most; and for 5 s once it had been well", async () => {
    const sessions = await manySessions();
    await sessions.fail(10);
    for (const seconds of [5, 10, 20, 40, 60, 60]) await probeInVain(sessions, seconds * 1_000);
    await sessions.world.clock.advance(59_999);
    expect(await sessions.asked()).toEqual({ kind: "unavailable", why: "breaker_open", retryAfterMs: 1 });
    await sessions.world.clock.advance(1);
    expect(await sessions.ask()).toMatch(/^access/);
    await sessions.fail(10);
    expect(await sessions.asked()).toMatchObject({ why: "breaker_open", retryAfterMs: 5_000 });
    expect(sessions.world.metrics.breakerStates.slice(-3)).toEqual(["half_open", "closed", "open"]);
  });

  test("costs nobody a token that is still of use", async () => {
    const { world, ask, fail } = await manySessions();
    await world.login("alice");
    await world.fresh();
    await world.clock.advance(3_595_000);
    await fail(10);
    expect([await ask(), world.cached(), await world.fresh(), world.endpoint.calls]).toEqual([
      "unavailable: breaker_open",
      undefined,
      "access-1",
      10,
    ]);
  });

  test("is left alone by this process; another one finds out for itself", async () => {
    const { world, fail } = await manySessions();
    await fail(10);
    await world.login("alice", { remainingMs: 0 });
    expect([await world.fresh(), await world.replica().fresh()]).toEqual([
      "unavailable: breaker_open",
      expect.stringMatching(/^access/),
    ]);
  });
});

describe("the breaker stays closed", () => {
  test.each<[string, Script]>([
    ["refusals: they are about one login", { status: 400, body: { error: "invalid_grant" } }],
    ["429: each session has its back-off", { status: 429 }],
    ["429 in the provider's words", { status: 429, body: { error: "rate_limited" } }],
    ["invalid_client: it is about us", { status: 401, body: { error: "invalid_client" } }],
  ])("with %s", async (_, script) => {
    const { world, ask, fail } = await manySessions();
    await fail(12, script);
    expect([await ask(), world.endpoint.calls, world.metrics.breakerStates]).toEqual([
      expect.stringMatching(/^access/),
      13,
      [],
    ]);
  });

  test.each<[string, Script | undefined]>([
    ["tokens", undefined],
    ["a refusal", { status: 400, body: { error: "invalid_grant" } }],
  ])("where %s came in between", async (_, script) => {
    const { world, ask, fail } = await manySessions();
    await fail(9);
    if (script !== undefined) world.endpoint.respondNext(script);
    await ask();
    await fail(9);
    expect([await ask(), world.metrics.breakerStates]).toEqual([expect.stringMatching(/^access/), []]);
  });
});

test("a call that was withheld in the last moment neither opens a breaker nor closes it: the next one tries", async () => {
  const clock = manualClock();
  const metrics = recordedMetrics();
  const breaker = createBreaker({
    upstream: "crm",
    clock,
    log: createLog({ level: "silent", format: "json" }),
    metrics,
  });
  const unwell = async () => ({ kind: "unknown", why: "http_503" }) as const;
  const withheld = async () => ({ kind: "transient", why: "not_sent" }) as const;
  for (let time = 0; time < 9; time++) await breaker.run(unwell);
  await breaker.run(withheld);
  expect(metrics.breakerStates).toEqual([]);
  await breaker.run(unwell);
  await clock.advance(5_000);
  await breaker.run(withheld);
  expect([metrics.breakerStates, breaker.openMs()]).toEqual([["open", "half_open", "open"], 0]);
  await breaker.run(async () => ({ kind: "refused", why: "invalid_grant" }));
  expect(metrics.breakerStates).toEqual(["open", "half_open", "open", "half_open", "closed"]);
});

describe("a provider that fails at what it is shown of one session", () => {
  test("is left alone by nobody else, however often that one tries", async () => {
    const { world, ask } = await manySessions();
    await world.login("unlucky", { remainingMs: 0 });
    for (let time = 0; time < 15; time++) {
      world.endpoint.respondNext({ status: 503 });
      expect(await world.fresh({ session: "unlucky" })).toMatch(/^unavailable/);
      await world.clock.advance(6 * 60_000);
    }
    expect([await ask(), world.metrics.breakerStates]).toEqual([expect.stringMatching(/^access/), []]);
    expect(world.endpoint.calls).toBe(16);
  });

  test("is left alone when five sessions have failed, two times each", async () => {
    const { world, asked } = await manySessions();
    const unlucky = ["a", "b", "c", "d", "e"];
    for (const session of unlucky) await world.login(session, { remainingMs: 0 });
    for (let time = 0; time < 2; time++) {
      for (const session of unlucky) {
        world.endpoint.respondNext({ status: 503 });
        await world.fresh({ session });
      }
      if (time === 0) await world.clock.advance(6 * 60_000);
    }
    expect([await asked(), world.metrics.breakerStates]).toEqual([
      { kind: "unavailable", why: "breaker_open", retryAfterMs: 5_000 },
      ["open"],
    ]);
  });
});

/** A breaker that five sessions have opened, two failures each, with what counts the calls that reach the provider. */
async function openedByFive() {
  const clock = manualClock();
  const log = createLog({ level: "silent", format: "json" });
  const breaker = createBreaker({ upstream: "crm", clock, log, metrics: recordedMetrics() });
  const five = ["a", "b", "c", "d", "e"];
  let calls = 0;
  const ask = (session: string, why?: string) =>
    breaker.run(async () => {
      calls++;
      return why === undefined ? { kind: "refused", why: "invalid_grant" } : { kind: "unknown", why };
    }, session);
  for (const session of [...five, ...five]) await ask(session, "http_503");
  return { clock, breaker, five, ask, calls: () => calls };
}

describe("a provider that is down for few sessions", () => {
  test("is asked ever less by those whose failures count no more", async () => {
    const { clock, five, ask, calls } = await openedByFive();
    for (let seconds = 0; seconds < 600; seconds++) {
      await clock.advance(1_000);
      for (const session of five) await ask(session, "http_503");
    }
    // After 5, 10, 20, 40 and each 60 s, by each of the five.
    expect(calls()).toBeLessThan(10 + 5 * 16);
    expect(calls()).toBeGreaterThan(10 + 5 * 8);
  });

  test("is tried by another session at once, and then asked for all", async () => {
    const { clock, breaker, five, ask } = await openedByFive();
    await clock.advance(5_000);
    for (const session of five) await ask(session, "http_503");
    expect(["a", "new"].map((session) => breaker.openMs(session))).toEqual([5_000, 0]);
    expect(await ask("a")).toEqual({ kind: "transient", why: "breaker_open", retryAfterMs: 5_000 });
    expect(await ask("new")).toMatchObject({ kind: "refused" });
    expect(await ask("a")).toMatchObject({ kind: "refused" });
  });
});
