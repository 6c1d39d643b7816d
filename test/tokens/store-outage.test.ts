import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();

/** The real store at a real server; commands give up soon. */
async function redisStore(url: string): Promise<TokenStore> {
  const log = createLog({ level: "silent", format: "json" });
  const config = { url: new Secret(url), keyPrefix: "test:", commandTimeoutMs: 200 };
  const store = await opened.use(
    createRedisStore({ config, clock: systemClock(), log, random: systemRandom(), metrics: noStoreMetrics }),
  );
  await until("the connection", () => answers(store));
  return store;
}

function answers(store: TokenStore): Promise<boolean> {
  return store.ping().then(
    () => true,
    () => false,
  );
}

/** What a caller gets, while time passes: a slow machine may need another try, a second later. */
async function passing({ clock }: World, waiting: Promise<string>): Promise<string> {
  let answer: string | undefined;
  void waiting.then((given) => {
    answer = given;
  });
  return until("the answer", async () => {
    await clock.advance(1_000);
    return answer;
  });
}

test("Redis freezes between the provider's answer and the commit: the rotated token is stored once it goes on, and served", async () => {
  const redis = await opened.use(startRedis());
  const world = await startWorld(opened, { store: await redisStore(redis.url) });
  await world.login("alice", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const waiting = world.fresh();
  const hasty = world.fresh({ waitMs: 500 });
  await gate.arrived();
  await redis.pause();
  gate.release();
  await until("a commit that failed", () => world.events("commit_failed").length > 0);
  await world.clock.advance(500);
  expect(await hasty).toBe("unavailable: deadline");
  await redis.resume();
  expect(await passing(world, waiting)).toBe("access-2");
  expect([await world.storedRefreshToken(), world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([
    "refresh-2",
    1,
    0,
  ]);
  expect(await world.replica().fresh()).toBe("access-2");
});

test("Redis dies with everything in it between the provider's answer and the commit: the login comes back with the new tokens", async () => {
  const redis = await opened.use(startRedis());
  const world = await startWorld(opened, { store: await redisStore(redis.url), config: { timeoutMs: 1_000_000 } });
  await world.login("alice", { remainingMs: 0, subject: "alice@example.com" });
  const gate = world.endpoint.hold();
  const waiting = world.fresh();
  await gate.arrived();
  await redis.kill("SIGKILL");
  gate.release();
  await until("a commit that failed", () => world.events("commit_failed").length > 0);
  await opened.use(startRedis({ port: redis.port }));
  expect(await passing(world, waiting)).toBe("access-2");
  expect(await world.storedRefreshToken()).toBe("refresh-2");
  expect(await world.store.read(world.key())).toMatchObject({
    row: { state: "active", grant: { subject: "alice@example.com" } },
  });
  expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([1, 0]);
});

test("Redis is away when a token is needed: unavailable, nobody is logged out, and no refresh token is presented unread", async () => {
  const redis = await opened.use(startRedis());
  const world = await startWorld(opened, { store: await redisStore(redis.url) });
  await world.login("alice", { remainingMs: 0 });
  await redis.pause();
  expect(await world.fresh()).toBe("unavailable: store_unavailable");
  expect(world.endpoint.calls).toBe(0);
  await redis.resume();
  await until("Redis", () => answers(world.store));
  expect(await world.fresh()).toBe("access-2");
});
