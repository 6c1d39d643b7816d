import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { GrantKey } from "../../src/stores/grant.ts";
import { createRedisStore, type RedisStoreConfig } from "../../src/stores/redis-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { answers } from "../stores/redis-harness.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { startCluster } from "../support/redis-cluster.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startReplicated } from "../support/redis-replicated.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

/** A process at a store, on the machine's clock. */
async function worldAt(where: Pick<RedisStoreConfig, "url" | "sentinel" | "cluster">) {
  const clock = systemClock();
  const lines: string[] = [];
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const config = { keyPrefix: "bearerswap:", commandTimeoutMs: 1_000, ...where };
  const store = await opened.use(
    createRedisStore({ config, clock, log, random: systemRandom(), metrics: noStoreMetrics }),
  );
  await until("the store's first answer", () => answers(store));
  const world = await startWorld(opened, { clock, store });
  return { world, store, storeLog: () => lines.join("") };
}

type Running = Awaited<ReturnType<typeof worldAt>>;

/** The store has lost the refresh, and answers again: within three seconds the process has written it back. */
async function expectWrittenBack({ world, store }: Running): Promise<void> {
  await until("a store that answers again", () => isRead(store, world.key()), { timeoutMs: 30_000 });
  await until("the refresh, written back", () => stored(world, "refresh-2"), { timeoutMs: 3_000 });
  expect([await world.fresh(), world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual(["access-2", 1, 0]);
  expect(world.metrics.events.recommit).toBe(1);
}

function isRead(store: TokenStore, key: GrantKey): Promise<boolean> {
  return store.read(key).then(
    () => true,
    () => false,
  );
}

function stored(world: Running["world"], refreshToken: string): Promise<boolean> {
  return world.storedRefreshToken().then(
    (found) => found === refreshToken,
    () => false,
  );
}

/** From here on the replica gets nothing more: what the master acknowledges is lost with it. */
async function cutOff(replica: RedisServer, master: RedisServer): Promise<void> {
  await redisCommand(replica, "CONFIG", "SET", "masterauth", "wrong");
  await redisCommand(master, "CLIENT", "KILL", "TYPE", "replica");
}

/** Envoy's Redis proxy before one server. */
function redisProxy(port: number): object {
  const address = (value: number) => ({ socket_address: { address: "127.0.0.1", port_value: value } });
  const proxy = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
    stat_prefix: "redis",
    settings: { op_timeout: "1s" },
    prefix_routes: { catch_all_route: { cluster: "redis" } },
  };
  const filters = [{ name: "envoy.filters.network.redis_proxy", typed_config: proxy }];
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }];
  return {
    static_resources: {
      listeners: [{ name: "redis", address: address(0), filter_chains: [{ filters }] }],
      clusters: [{ name: "redis", load_assignment: { cluster_name: "redis", endpoints } }],
    },
  };
}

test("sentinels make a replica the master that never got the refresh", async () => {
  const redis = await opened.use(startReplicated());
  const [master, replica] = redis.servers as [RedisServer, RedisServer];
  const running = await worldAt({ sentinel: { name: redis.name, nodes: redis.sentinels } });
  const { world } = running;
  await world.login("alice", { remainingMs: 0 });
  await until(
    "the login at the replica",
    async () => (await redisCommand(replica, "DBSIZE")) === (await redisCommand(master, "DBSIZE")),
  );
  await cutOff(replica, master);
  expect(await world.fresh()).toBe("access-2");
  await master.kill("SIGKILL");
  await redis.failedOverFrom(master);
  await expectWrittenBack(running);
});

test("a replica takes a master's slots in a cluster, which keeps its connections", async () => {
  const cluster = await opened.use(startCluster());
  const running = await worldAt({ cluster: { nodes: cluster.nodes } });
  const { world } = running;
  await world.login("alice", { remainingMs: 0 });
  const master = await cluster.ownerOf(cluster.slotOf(`{${world.key().session}}`));
  const replica = await cluster.join();
  await redisCommand(replica, "CLUSTER", "REPLICATE", String(await redisCommand(master, "CLUSTER", "MYID")));
  await until(
    "the replica's copy",
    async () => String(await redisCommand(replica, "INFO", "replication")).includes("master_link_status:up"),
    { timeoutMs: 30_000 },
  );
  await until("the login there", async () => Number(await redisCommand(replica, "DBSIZE")) > 0);
  await cutOff(replica, master);
  expect(await world.fresh()).toBe("access-2");
  await redisCommand(replica, "CLUSTER", "FAILOVER", "TAKEOVER");
  await until(
    "the master to step down",
    async () => String(await redisCommand(master, "INFO", "replication")).includes("role:slave"),
    { timeoutMs: 30_000 },
  );
  await expectWrittenBack(running);
});

test("a server comes back with older data behind an Envoy that keeps the connection", async () => {
  const before = await mkdtemp(join(tmpdir(), "bearerswap-redis-"));
  const after = await mkdtemp(join(tmpdir(), "bearerswap-redis-"));
  opened.onStop(() => Promise.all([before, after].map((dir) => rm(dir, { recursive: true, force: true }))));
  const redis = await opened.use(startRedis({ dir: before, hostNetwork: true }));
  const envoy = await opened.use(startEnvoy({ config: redisProxy(redis.port) }));
  const running = await worldAt({ url: new Secret(`redis://127.0.0.1:${envoy.port("redis")}`) });
  const { world } = running;
  await world.login("alice", { remainingMs: 0 });
  await redisCommand(redis, "SAVE");
  await cp(join(before, "dump.rdb"), join(after, "dump.rdb"));
  expect(await world.fresh()).toBe("access-2");
  await redis.kill("SIGKILL");
  await opened.use(startRedis({ dir: after, port: redis.port, hostNetwork: true }));
  await expectWrittenBack(running);
});

test("a server that does not say which history its data belong to is asked by schedule, and the log says so once", async () => {
  const redis = await opened.use(startRedis());
  await redisCommand(redis, "ACL", "SETUSER", "default", "-info");
  const running = await worldAt({ url: new Secret(redis.url) });
  const { world, storeLog } = running;
  await world.login("alice", { remainingMs: 0 });
  await until("word of it", () => storeLog().includes("history_unknown"));
  expect(await world.fresh()).toBe("access-2");
  expect(await redisCommand(redis, "DEL", nameOf(world.key()))).toBe(1);
  await expectWrittenBack(running);
  expect(storeLog().match(/history_unknown/g)).toHaveLength(1);
});

function nameOf({ session, upstream }: GrantKey): string {
  return `bearerswap:{${session}}:grant:${upstream}`;
}
