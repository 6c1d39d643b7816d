import { expect, test } from "vitest";
import { redisCommand } from "../support/redis-command.ts";
import { type ReplicatedRedis, startReplicated } from "../support/redis-replicated.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { commandTimeoutMs, type Fleet, newSession, startFleet } from "./fleet.ts";
import { expectAlive, type Load, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;
const password = "data";

/** A fleet that finds its master by sentinels, with four sessions under load. */
async function start(): Promise<{ redis: ReplicatedRedis; fleet: Fleet; load: Load }> {
  const redis = await use(startReplicated({ password }));
  const nodes = redis.sentinels.map(({ host, port }) => `${host}:${port}`);
  const config = {
    redis: {
      sentinel: { name: redis.name, nodes },
      password: "${env:REDIS_PASSWORD}",
      commandTimeout: `${commandTimeoutMs}ms`,
    },
  };
  const fleet = await startFleet(opened, { store: { config }, env: () => ({ REDIS_PASSWORD: password }) });
  const sessions = Array.from({ length: 4 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);
  return { redis, fleet, load };
}

async function replication(server: RedisServer): Promise<string> {
  return String(await redisCommand({ ...server, password }, "INFO", "replication"));
}

test("an orderly failover, and then the crash of a master while new tokens are to be stored, end no session", async () => {
  const { redis, fleet, load } = await start();
  const old = await redis.master();
  const master = await redis.failover();
  await load.renewed(fleet.replicas);
  // The sentinels take some seconds to make the old one a replica; until then it has nothing to take over with.
  await until("the old master to follow", async () => (await replication(old)).includes("master_link_status:up"), {
    timeoutMs: 60_000,
  });
  const held = await fleet.holdRefresh();
  const answer = await held.process();
  await master.kill("SIGKILL");
  answer.deliver();
  fleet.gate.rule({ kind: "forward" });
  await until("a commit that fails", () => fleet.replica(held.sender).events("commit_failed").length > 0);
  await redis.failedOverFrom(master);
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});

test("a master that crashes and takes the last commits with it ends no session: who made them writes them again", async () => {
  const { redis, fleet, load } = await start();
  const [master, other] = redis.servers as [RedisServer, RedisServer];
  // From here on the replica gets nothing more: what the master acknowledges is lost with it.
  await redisCommand({ ...other, password }, "CONFIG", "SET", "masterauth", "wrong");
  await redisCommand({ ...master, password }, "CLIENT", "KILL", "TYPE", "replica");
  await load.renewed(fleet.replicas);
  await fleet.holdRefresh();
  await master.kill("SIGKILL");
  fleet.gate.rule({ kind: "forward" });
  expect(await redis.failedOverFrom(master)).toBe(other);
  await until("commits written again", () => fleet.replicas.some(({ events }) => events("recommit").length > 0), {
    timeoutMs: 30_000,
  });
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
