import { expect, test } from "vitest";
import type { Explanation } from "../../src/explain/explanation.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { openClient, openStore } from "../stores/redis-harness.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";
import { contentsOf } from "../support/store-contents.ts";
import { until } from "../support/until.ts";
import { runHere } from "./cli-process.ts";

const opened = resources();
const holdOffMs = 3_000;

/** A grant whose access token is used up, in a Redis that can be told to fail over. */
async function startDue() {
  const redis = await opened.use(startRedis({ args: ["--enable-debug-command", "local"] }));
  const config = { store: { redis: { url: redis.url } }, refresh: { holdOff: `${holdOffMs}ms` } };
  const scenario = await startScenario(opened, { config });
  await scenario.login({ token: { expiresIn: 0 } });
  const client = await openClient(opened, redis.url);
  const { store } = await openStore(opened, redis.url);
  const [name = ""] = await client.keys("*:grant:crm");
  const session = /\{(.*)\}/.exec(name)?.[1] ?? "";
  const place = scenario.service.listening.admin;
  const args = ["explain", "--admin", place === undefined ? "" : formatAddress(place), "--upstream", "crm"];
  const stdin = `authorization: Bearer ${sessionId}\n`;
  const said = async (...more: string[]) => (await runHere([...args, "--credentials", "-", ...more], { stdin })).stdout;
  const upstream = async () => (JSON.parse(await said("--json")) as Explanation).upstreams[0];
  const seen = (await client.hget(name, "v")) ?? "";
  return { ...scenario, redis, client, said, upstream, store, key: { session, upstream: "crm" }, seen };
}

/** A request gets a token all the same, in the end. */
async function isServed({ check, provider }: Awaited<ReturnType<typeof startDue>>): Promise<void> {
  expect([(await check(bearer())).status, provider.calls]).toEqual([200, 1]);
}

test("after a failover explain names the time in which nobody refreshes, before it has begun and while it runs", async () => {
  const world = await startDue();
  await redisCommand(world.redis, "DEBUG", "CHANGE-REPL-ID");
  const before = await contentsOf(world.client, "");
  expect(await world.upstream()).toMatchObject({ on: "refresh", wait: { why: "failover", remainingMs: holdOffMs } });
  expect(await contentsOf(world.client, "")).toEqual(before);
  const served = isServed(world);
  const waiting = await until("the request that waits", async () => {
    const found = await world.upstream();
    return found?.grant?.quietMs !== undefined && found;
  });
  expect(waiting).toMatchObject({ on: "refresh", wait: { why: "failover" }, isUnderWay: true });
  expect(waiting.wait?.remainingMs).toBeGreaterThanOrEqual(waiting.grant?.quietMs ?? Number.NaN);
  expect(waiting.wait?.remainingMs).toBeLessThanOrEqual(holdOffMs);
  expect(waiting.grant?.quietMs).toBeLessThanOrEqual(holdOffMs);
  await served;
});

test("where the process was cut off from Redis, explain names the time in which it does not refresh", async () => {
  const world = await startDue();
  const waiting = await until("the gap", async () => {
    await redisCommand(world.redis, "CLIENT", "KILL", "TYPE", "pubsub");
    const found = await world.upstream();
    return found?.wait !== undefined && found;
  });
  expect(waiting).toMatchObject({ on: "refresh", wait: { why: "gap" } });
  expect(waiting.wait?.remainingMs).toBeLessThanOrEqual(holdOffMs);
  expect(await world.said()).toContain("cut off from Redis");
  await isServed(world);
});

test("where an attempt ended nobody knows how, explain names the time for which the next one waits", async () => {
  const world = await startDue();
  const { store, key, seen } = world;
  const attempt = { attempt: "lost", seen, leaseMs: 1, usableMs: 1_000 };
  expect((await store.acquire(key, attempt)).kind).toBe("acquired");
  const waiting = await until("the end of its lease", async () => {
    const found = await world.upstream();
    return found?.on === "refresh" && found;
  });
  expect(waiting).toMatchObject({ wait: { why: "earlier_attempt", remainingMs: holdOffMs } });
  expect(await world.said()).toContain(
    "which waits 3s at most: an earlier attempt may have redeemed the refresh token",
  );
  await isServed(world);
});

test("while the provider may still answer a call that was given up, explain says how long", async () => {
  const { store, key, seen, upstream, check, provider } = await startDue();
  const attempt = { attempt: "given-up", seen, leaseMs: 60_000, usableMs: 1_000 };
  expect((await store.acquire(key, attempt)).kind).toBe("acquired");
  expect(await upstream()).toMatchObject({ on: "lease", grant: { lease: { attempt: "given-up" } } });
  await store.release(key, { attempt: "given-up", unused: false, backOffMs: 0, answerMs: 60_000 });
  const waiting = await upstream();
  expect(waiting).toMatchObject({ on: "refresh", wait: { why: "given_up_call" } });
  expect(waiting?.wait?.remainingMs).toBeGreaterThan(30_000);
  expect((await check(bearer(), 500)).status).toBe(503);
  expect(provider.calls).toBe(0);
});
