import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BackOffInput, backOffMs } from "../../src/tokens/back-off.ts";
import { resources } from "../support/resources.ts";
import type { Script } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();
const base = {
  maybeUsed: false,
  rotates: "perhaps" as const,
  failures: 0,
  retryAfterMs: undefined,
  graceLeftMs: 0,
  holdOffMs: 0,
  jitter: 0,
};
const row = (input: Partial<BackOffInput>, failures: readonly number[]) =>
  failures.map((count) => backOffMs({ ...base, ...input, failures: count }) / 1_000);

describe("the back-off", () => {
  test("inside a known grace: short, and never so long that the grace would be over", () => {
    expect(row({ maybeUsed: true, graceLeftMs: 20_000 }, [0, 1, 2, 3, 4, 5])).toEqual([1, 2, 4, 8, 10, 10]);
    expect(row({ maybeUsed: true, graceLeftMs: 1_500 }, [0, 5])).toEqual([1, 1]);
    expect(row({ maybeUsed: true, graceLeftMs: 0 }, [0, 5])).toEqual([5, 160]);
    expect(row({ maybeUsed: true, graceLeftMs: -1 }, [0, 5])).toEqual([5, 160]);
    expect(row({ maybeUsed: false, graceLeftMs: 4_000 }, [0, 5])).toEqual([1, 32]);
  });

  test("inside a known grace leaves another replica the time to hold off before it presents the token", () => {
    expect(row({ maybeUsed: true, graceLeftMs: 20_000, holdOffMs: 3_000 }, [0, 3, 4])).toEqual([1, 8, 8.5]);
    expect(row({ maybeUsed: true, graceLeftMs: 6_000, holdOffMs: 3_000 }, [0, 5])).toEqual([1, 1.5]);
    expect(row({ maybeUsed: true, graceLeftMs: 2_000, holdOffMs: 3_000 }, [0, 5])).toEqual([1, 1]);
  });

  test("of one that may have been used at a provider that never rotates: a second at most, or what the provider asked for", () => {
    expect(row({ maybeUsed: true, rotates: "never" }, [0, 1, 5, 1_000])).toEqual([1, 1, 1, 1]);
    expect(backOffMs({ ...base, maybeUsed: true, rotates: "never", jitter: 0.999 })).toBe(901);
    expect(row({ maybeUsed: true, rotates: "never", retryAfterMs: 30_000 }, [3])).toEqual([30]);
    expect(row({ rotates: "never" }, [0, 3, 9])).toEqual([1, 8, 60]);
  });

  test("is at least what the provider asked for, and not shortened by it", () => {
    expect(row({ retryAfterMs: 30_000 }, [0, 5, 6])).toEqual([30, 32, 60]);
    expect(row({ maybeUsed: true, retryAfterMs: 30_000 }, [0, 3])).toEqual([30, 40]);
    expect(row({ maybeUsed: true, retryAfterMs: 30_000, graceLeftMs: 10_000 }, [0])).toEqual([30]);
    expect(row({ retryAfterMs: 0 }, [0])).toEqual([1]);
  });

  test("is spread by up to a tenth, and never below either minimum", () => {
    expect(backOffMs({ ...base, jitter: 0.5 })).toBe(1_050);
    const input = fc.record({
      maybeUsed: fc.boolean(),
      rotates: fc.constantFrom("never" as const, "not_seen" as const, "perhaps" as const),
      failures: fc.nat(100),
      retryAfterMs: fc.option(fc.nat(3_600_000), { nil: undefined }),
      graceLeftMs: fc.integer({ min: -100_000, max: 100_000 }),
      holdOffMs: fc.nat(10_000),
    });
    fc.assert(
      fc.property(input, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (given, jitter) => {
        const [least, spread] = [backOffMs({ ...given, jitter: 0 }), backOffMs({ ...given, jitter })];
        const shortest = given.maybeUsed && given.rotates === "never" ? 900 : Math.max(least, 1_000);
        expect(spread).toBeGreaterThanOrEqual(Math.max(shortest, given.retryAfterMs ?? 0));
        expect(spread).toBeLessThanOrEqual(Math.ceil(least * 1.1));
        expect(backOffMs({ ...given, failures: given.failures + 1, jitter: 0 })).toBeGreaterThanOrEqual(least);
      }),
    );
  });
});

/** Asks again at the end of each back-off, so many times; the back-offs in seconds. */
async function backOffs(world: World, times: number): Promise<number[]> {
  const seconds: number[] = [];
  for (let time = 0; time < times; time++) {
    const answer = await world.answer();
    if (answer.kind !== "unavailable" || answer.why === "back_off")
      throw new Error(`the provider was not asked: ${JSON.stringify(answer)}`);
    seconds.push((answer.retryAfterMs ?? 0) / 1_000);
    await world.clock.advance(answer.retryAfterMs ?? 0);
  }
  return seconds;
}

async function expired(script: Script, options: Parameters<typeof startWorld>[1] = {}): Promise<World> {
  const world = (await startWorld(opened, options)) as World;
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondAlways(script);
  return world;
}

describe("after a refresh that failed", () => {
  test.each<[name: string, script: Script, expected: number[]]>([
    ["429: nothing was done", { status: 429 }, [1, 2, 4, 8, 16, 32, 60, 60]],
    ["429 with Retry-After", { status: 429, headers: { "retry-after": "10" } }, [10, 10, 10, 10, 16]],
    ["invalid_client: it is about us", { status: 401, body: { error: "invalid_client" } }, [1, 2, 4]],
    ["an error before anything was done", { status: 503, body: { error: "temporarily_unavailable" } }, [1, 2, 4]],
    ["500: the token may be used up", { status: 500 }, [5, 10, 20, 40, 80, 160, 300, 300]],
    ["503 with Retry-After", { status: 503, headers: { "retry-after": "30" } }, [30, 30, 30, 40]],
    ["a 200 that cannot be read", { body: "<html>" }, [5, 10, 20]],
  ])("the token rests, longer each time: %s", async (_, script, expected) => {
    const world = await expired(script);
    expect(await backOffs(world, expected.length)).toEqual(expected);
    expect(world.endpoint.calls).toBe(expected.length);
    expect(world.metrics.events.back_off).toBe(expected.length);
  });

  test("it rests as after use wherever an earlier attempt may have used it", async () => {
    const world = await expired({ status: 429 });
    world.endpoint.respondNext({ status: 500 });
    expect(await backOffs(world, 3)).toEqual([5, 10, 20]);
  });

  test("a known grace is used while it lasts", async () => {
    const world = await expired({ status: 500 }, { provider: { graceMs: 30_000 } });
    expect(await backOffs(world, 10)).toEqual([1, 2, 4, 8, 6, 3, 1.5, 1, 1, 1]);
  });

  test("an answer that was lost is asked for again within the grace, and nobody logs in", async () => {
    const world = (await startWorld(opened, {
      provider: { graceMs: 30_000 },
      endpoint: { reuseGraceMs: 30_000 },
    })) as World;
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.closeAfterReading({ rotate: true });
    expect(await world.answer()).toMatchObject({ kind: "unavailable", retryAfterMs: 1_000 });
    await world.clock.advance(1_000);
    expect([await world.fresh(), world.endpoint.tokens.reuses]).toEqual(["access-3", 0]);
  });

  test("sessions that failed together return apart", async () => {
    const world = await expired({ status: 429 }, { random: { fraction: () => 0.999 } });
    expect(await world.answer()).toMatchObject({ retryAfterMs: 1_100 });
  });

  test("another replica keeps to it, without asking for the lease", async () => {
    const world = await expired({ status: 500 });
    const other = world.replica() as World;
    await world.answer();
    await world.clock.advance(1_000);
    expect(await other.answer()).toEqual({ kind: "unavailable", why: "back_off", retryAfterMs: 4_000 });
    expect([world.endpoint.calls, other.store.calls.acquire]).toEqual([1, 0]);
  });

  test("so does one that had read the grant before", async () => {
    const world = await expired({ status: 500 });
    const other = world.replica() as World;
    other.store.subscription.silent = true;
    const gate = other.store.holdReply("read");
    const late = other.answer();
    await gate.arrived();
    await world.answer();
    gate.release();
    expect(await late).toEqual({ kind: "unavailable", why: "back_off", retryAfterMs: 5_000 });
    expect([world.endpoint.calls, other.store.calls.acquire]).toEqual([1, 1]);
  });

  test("where the store does not take it, the lease keeps everybody away until it ends", async () => {
    const world = await expired({ status: 500 });
    world.store.down.add("release");
    expect(await world.fresh()).toBe("unavailable: http_500");
    world.store.down.clear();
    world.endpoint.respondAlways(undefined);
    await world.clock.advance(6_000);
    const waiting = world.fresh();
    await until("the wait for the lease", () => world.metrics.events.lease_busy === 1);
    await world.clock.advance(8_999);
    expect(world.endpoint.calls).toBe(1);
    await world.clock.advance(1);
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 2]);
  });

  test("a login ends it at once, and a refresh that succeeds begins the count anew", async () => {
    const world = await expired({ status: 500 });
    expect(await backOffs(world, 2)).toEqual([5, 10]);
    await world.answer();
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondAlways(undefined);
    expect(await world.fresh()).toBe("access-3");
    await world.clock.advance(3_600_000);
    world.endpoint.respondAlways({ status: 500 });
    expect(await backOffs(world, 2)).toEqual([5, 10]);
  });

  test("the user of another session does not wait for it", async () => {
    const world = await expired({ status: 500 });
    await world.login("bob", { remainingMs: 0 });
    await world.answer();
    world.endpoint.respondAlways(undefined);
    expect(await world.fresh({ session: "bob" })).toBe("access-3");
  });
});
