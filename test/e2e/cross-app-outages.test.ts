import { describe, expect, test } from "vitest";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { answered, startCrossAppWorld } from "./cross-app-world.ts";

const use = resources();

describe("crossApp while something is down", () => {
  test("each provider costs 503 with its Retry-After and no login, and what is held is served", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 200 } });
    const browser = createHttpBrowser();
    await world.visit(browser, "/_bearerswap/connect/idp");
    world.idp.failAlways(503, { "retry-after": "7" });
    const first = await world.send(browser);
    expect([first.status, first.headers.get("retry-after")]).toEqual([503, "7"]);
    world.idp.failAlways(undefined);
    world.clock.shift(7_000);
    expect((await world.send(browser)).status).toBe(200);
    world.idp.failAlways(503, { "retry-after": "7" });
    world.resource.failAlways(503, { "retry-after": "9" });
    expect((await world.send(browser)).status).toBe(200);
    world.clock.shift(210_000);
    const second = await world.send(browser);
    expect([second.status, second.headers.get("retry-after")]).toEqual([503, "9"]);
    world.resource.failAlways(undefined);
    world.clock.shift(100_000);
    const third = await world.send(browser);
    expect([third.status, third.headers.get("retry-after")]).toEqual([503, "7"]);
    world.idp.failAlways(undefined);
    world.clock.shift(7_000);
    expect((await world.send(browser)).status).toBe(200);
    expect(world.idp.authorizations).toHaveLength(1);
  });

  test("Redis: what is held is served, for cache.maxOutage, and after that it is 503 and nothing is lost", async () => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
    await world.redis.stop();
    for (const shift of [0, 100_000]) {
      world.clock.shift(shift);
      expect((await world.sendAs("ann")).status).toBe(200);
    }
    world.clock.shift(250_000);
    expect((await world.sendAs("ann")).status).toBe(503);
    expect(world.calls()).toEqual([1, 1]);
  });
});

test("without Redis a token is got all the same, and one that cannot be got costs nobody the one in hand", async () => {
  const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 3_650 } });
  const browser = await world.loggedIn();
  const statuses = async (shiftMs: number) => {
    world.clock.shift(shiftMs);
    const answers = [];
    for (let sent = 0; sent < 20; sent++) answers.push((await world.send(browser)).status);
    return new Set(answers);
  };
  expect(await statuses(3_500_000)).toEqual(new Set([200]));
  await world.redis.stop();
  // Near its end it is to be replaced, and the ID token has ended: that takes a refresh, and that the store.
  expect(await statuses(110_000)).toEqual(new Set([200]));
  expect([world.calls(), world.idp.refreshes().length]).toEqual([[1, 1], 0]);

  const other = await startCrossAppWorld(use, { resource: { lifeSeconds: 100 } });
  const visitor = await other.loggedIn();
  await other.redis.stop();
  other.clock.shift(110_000);
  expect((await other.send(visitor)).status).toBe(200);
  expect(other.calls()).toEqual([1, 2]);
});

test("an ID token that is refused while Redis is down, so that none can take its place, costs no login", async () => {
  const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 100 }, idp: { idJagLifeSeconds: 50 } });
  const browser = await world.loggedIn();
  await world.redis.stop();
  world.idp.forgetIdTokens();
  world.clock.shift(110_000);
  expect(await answered(await world.send(browser))).toEqual([503, "unavailable"]);
  expect(world.idp.exchanges.map(({ outcome }) => outcome)).toEqual(["tokens", "invalid_grant"]);
});
