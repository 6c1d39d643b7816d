import { expect, test } from "vitest";
import { startCluster } from "./redis-cluster.ts";
import { redisCommand } from "./redis-command.ts";
import { startReplicated } from "./redis-replicated.ts";
import type { RedisServer } from "./redis-server.ts";
import { resources } from "./resources.ts";

const { use } = resources();

test("starts a master, a replica and sentinels that fail over", async () => {
  const redis = await use(startReplicated({ password: "data", sentinelPassword: "watch" }));
  const [first, second] = redis.servers as [RedisServer, RedisServer];
  expect(await redis.master()).toBe(first);
  expect(await redis.failover()).toBe(second);
  expect(((await redisCommand({ ...second, password: "data" }, "ROLE")) as unknown[])[0]).toBe("master");
});

test("starts a cluster, moves a slot with its keys, and lets a node join", async () => {
  const cluster = await use(startCluster());
  const slot = cluster.slotOf("{a}key");
  const from = await cluster.ownerOf(slot);
  await redisCommand(from, "SET", "{a}key", "value");
  const to = await cluster.join();
  await cluster.beginMove(slot, to);
  await expect(redisCommand(from, "GET", "{a}new")).rejects.toThrow(`ASK ${slot}`);
  await cluster.finishMove(slot, to);
  await expect(redisCommand(from, "GET", "{a}key")).rejects.toThrow(`MOVED ${slot}`);
  expect(await redisCommand(to, "GET", "{a}key")).toBe("value");
  expect(await cluster.ownerOf(slot)).toBe(to);
});
