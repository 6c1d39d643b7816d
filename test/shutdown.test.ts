import { expect, test } from "vitest";
import { hashSession } from "../src/stores/grant.ts";
import { startRedis } from "./support/redis-server.ts";
import { resources } from "./support/resources.ts";
import { bearer, sessionId, startScenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const opened = resources();

/** A refresh that has its tokens from the provider, and a Redis that froze before it could take them. */
async function unstored(timeout: string) {
  const redis = await opened.use(startRedis());
  const store = { redis: { url: redis.url, commandTimeout: "200ms" } };
  const scenario = await startScenario(opened, { config: { store, shutdown: { timeout } } });
  await scenario.login({ token: { accessToken: "", expiresIn: 0 } });
  const gate = scenario.provider.hold();
  const checking = scenario.check(bearer()).then(
    ({ status }) => status,
    () => "cut off",
  );
  await gate.arrived();
  await redis.pause();
  gate.release();
  await until("a commit that failed", () => scenario.service.events("commit_failed").length > 0);
  return { redis, scenario, checking };
}

test("a stop while the store is away names the sessions whose new tokens are lost, by hash, and ends in time", async () => {
  const { redis, scenario, checking } = await unstored("300ms");
  await scenario.service.stop();
  expect(await checking).not.toBe(401);
  const hash = hashSession("opaque", sessionId).slice(0, 12);
  expect(scenario.service.events("commit_lost")).toMatchObject([{ level: "error", upstream: "crm", session: hash }]);
  expect(scenario.service.events("shutdown")).toMatchObject([{ level: "error" }]);
  expect(scenario.service.log()).not.toMatch(new RegExp(`access-\\d|refresh-\\d|${sessionId}`));
  await redis.resume();
});

test("a stop waits until a store that comes back has taken the new tokens: then none are lost", async () => {
  const { redis, scenario, checking } = await unstored("20s");
  const stopped = scenario.service.stop();
  await redis.resume();
  await stopped;
  expect([await checking, scenario.service.events("commit_lost"), scenario.service.events("shutdown")]).toEqual([
    200,
    [],
    [],
  ]);
  const again = await startScenario(opened, { config: { store: { redis: { url: redis.url } } } });
  expect(await again.check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
  expect(again.provider.calls).toBe(0);
});
