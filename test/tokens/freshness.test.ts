import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { placeAccessToken, usableUntil } from "../../src/tokens/access-token.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();
const config = { minRemainingMs: 10_000, aheadMs: 60_000 };

/** How long before its end a token of this life is stale, refreshed ahead, and no longer of any use. */
function margins(lifeMs: number, remainingMs = lifeMs, jitter = 0) {
  const placed = placeAccessToken(
    { token: new Secret("t"), lifeMs, remainingMs },
    { version: "v" },
    500,
    config,
    jitter,
  );
  return {
    stale: placed.expiresAt - placed.staleAt,
    ahead: placed.expiresAt - placed.aheadAt,
    unusable: placed.expiresAt - usableUntil(placed),
  };
}

describe("the margins of a token's life", () => {
  test.each([
    ["an hour: as configured", 3_600_000, { stale: 10_000, ahead: 60_000, unusable: 1_000 }],
    ["two minutes: just so", 120_000, { stale: 10_000, ahead: 60_000, unusable: 1_000 }],
    ["a minute: half of it ahead", 60_000, { stale: 10_000, ahead: 30_000, unusable: 1_000 }],
    ["20 s: a fifth of it at least remaining", 20_000, { stale: 4_000, ahead: 10_000, unusable: 1_000 }],
    ["5 s", 5_000, { stale: 1_000, ahead: 2_500, unusable: 1_000 }],
    ["1 s: served while fresh, else it would be of no use", 1_000, { stale: 200, ahead: 500, unusable: 200 }],
  ])("%s", (_, lifeMs, expected) => {
    expect(margins(lifeMs)).toEqual(expected);
  });

  test("follow from the life it was issued with, not from what is left: else they shrink with every read from the store", () => {
    expect(margins(3_600_000, 12_000)).toEqual({ stale: 10_000, ahead: 60_000, unusable: 1_000 });
    expect(margins(3_600_000, 10)).toEqual({ stale: 10_000, ahead: 60_000, unusable: 1_000 });
  });

  test("are jittered by up to a quarter ahead, so that sessions that began together do not refresh together; never below the minimum", () => {
    expect(margins(3_600_000, 3_600_000, 0.999).ahead).toBeCloseTo(45_015, 0);
    expect(margins(3_600_000, 3_600_000, 0.5).ahead).toBe(52_500);
    for (const lifeMs of [1, 100, 5_000, 30_000])
      expect(margins(lifeMs, lifeMs, 0.999).ahead).toBeGreaterThanOrEqual(margins(lifeMs).stale);
    const late = placeAccessToken(
      { token: new Secret("t"), remainingMs: 3_600_000 },
      { version: "v" },
      500,
      { ...config, aheadMs: 10_500 },
      0.999,
    );
    expect(late.aheadAt).toBe(late.staleAt);
  });

  test("do not exist without an expiry", () => {
    const placed = placeAccessToken({ token: new Secret("t") }, { version: "v" }, 500, config, 0);
    expect([placed.expiresAt, placed.staleAt, placed.aheadAt, usableUntil(placed)]).toEqual(
      Array(4).fill(Number.POSITIVE_INFINITY),
    );
  });
});

/** What a request gets, as check/ asks for it. */
async function ask(world: World): Promise<string> {
  return world.cached() ?? world.fresh();
}

test("a 5-second token works: it is served from the cache for 4 s and then refreshed, not at every request", async () => {
  const world = await startWorld(opened, { endpoint: { expiresIn: 5 }, config: { aheadMs: 0 } });
  await world.login();
  const served: string[] = [];
  for (let second = 0; second < 12; second++) {
    served.push(await ask(world));
    await world.clock.advance(1_000);
  }
  const expected = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3].map((n) => `access-${n}`);
  expect(served).toEqual(expected);
  expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([2, 0]);
});

test("a 1-second token works as well", async () => {
  const world = await startWorld(opened, { endpoint: { expiresIn: 1 } });
  await world.login("alice", { remainingMs: 0 });
  expect([await ask(world), await ask(world)]).toEqual(["access-2", "access-2"]);
  await world.clock.advance(900);
  expect(await ask(world)).toBe("access-3");
});

test.each([undefined, 0])(
  "a token without an expiry (expires_in: %s) is never refreshed: an invented one would refresh at every request",
  async (expiresIn) => {
    const world = await startWorld(opened, { endpoint: { expiresIn } });
    await world.login("alice", { remainingMs: 0 });
    expect(await ask(world)).toBe("access-2");
    for (let day = 0; day < 20; day++) {
      await world.clock.advance(86_400_000);
      expect([world.cached(), await world.fresh()]).toEqual(["access-2", "access-2"]);
    }
    expect(await world.replica().fresh()).toBe("access-2");
    expect(world.endpoint.calls).toBe(1);
  },
);

test("a token with milliseconds to live is not handed out, neither from the cache nor from the store", async () => {
  const world = await startWorld(opened, { config: { aheadMs: 0 } });
  await world.login();
  await world.fresh();
  await world.clock.advance(3_589_999);
  expect(world.cached()).toBe("access-1");
  await world.clock.advance(1);
  expect(world.cached()).toBeUndefined();
  await world.clock.advance(9_995);
  expect(await world.replica().fresh()).toBe("access-2");
  expect(await world.fresh()).toBe("access-2");
});

test("the time that the provider and the store take is part of a token's life: it counts from before the request was sent", async () => {
  const world = await startWorld(opened, { endpoint: { expiresIn: 100 }, config: { aheadMs: 0 } });
  await world.login("alice", { remainingMs: 0 });
  world.store.down.add("commit");
  const gate = world.endpoint.hold();
  const waiting = world.fresh();
  await gate.arrived();
  await world.clock.advance(4_000);
  gate.release();
  await until("the first write", () => world.store.calls.commit === 1);
  await world.clock.advance(4_000);
  world.store.down.clear();
  await world.clock.advance(1_000);
  expect(await waiting).toBe("access-2");
  expect(await world.store.read(world.key())).toMatchObject({
    row: { access: { remainingMs: 91_000, lifeMs: 100_000 } },
  });
  await world.clock.advance(80_999);
  expect(world.cached()).toBe("access-2");
  await world.clock.advance(1);
  expect(world.cached()).toBeUndefined();
});
