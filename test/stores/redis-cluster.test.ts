import { beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { natMapping } from "../../src/stores/redis-options.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts";
import { redisCommand } from "../support/redis-command.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { answers, failureOf, hear, openConnection, send, untilHeard, urlOf } from "./connection-harness.ts";

const group = resources("file");
const opened = resources();
/** A PUBLISH that one node passes to another, as the cluster's bus numbers it. */
const publishPacket = 4;
let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await group.use(startCluster({ args: ["--enable-debug-command", "local"] }));
});

/** One key for each node, by the node's number. */
function keys(): string[] {
  const found: string[] = [];
  for (let id = 0; found.filter(Boolean).length < 3; id++) {
    const key = `{session-${id}}:grant`;
    found[Math.floor(cluster.slotOf(key) / 5_462)] ??= key;
  }
  return found;
}

const open = (settings: object = {}) =>
  openConnection(opened, { cluster: { nodes: [cluster.nodes[1] as RedisServer] }, ...settings });

test("the first command of a connection reaches each of the nodes, by one of which it found the others", async () => {
  const { redis, readies } = await open({ wait: false });
  await Promise.all(keys().map((key) => send(redis, "set", key, key)));
  for (const [at, node] of cluster.nodes.entries())
    expect(await redisCommand(node, "GET", keys()[at] ?? "")).toBe(keys()[at]);
  expect(readies()).toBe(3);
});

test("hash tags keep a session's keys together: a pipeline and a script find them at one node", async () => {
  const { redis } = await open();
  for (const key of keys()) {
    const index = key.replace("grant", "index");
    expect(
      await redis.pipeline([
        ["sadd", index, "crm"],
        ["pexpire", index, "60000"],
        ["smembers", index],
      ]),
    ).toEqual([1, 1, ["crm"]]);
    expect(await redis.run("read", key.replace("grant", "none"))).toEqual([]);
  }
});

test("a script runs at nodes that do not know it", async () => {
  const { redis } = await open();
  for (const key of keys()) await redis.run("read", key.replace("grant", "none"));
  for (const node of cluster.nodes) await redisCommand(node, "SCRIPT", "FLUSH");
  for (const key of keys()) await redis.run("read", key.replace("grant", "none"));
});

test("a slot that moves is followed: ASK while it does, MOVED afterwards; no command fails, and none is executed twice", async () => {
  const { redis, problems } = await open();
  const key = keys()[0] ?? "";
  const slot = cluster.slotOf(key);
  const [from, to] = [await cluster.ownerOf(slot), cluster.nodes[2] as RedisServer];
  let [going, sent] = [true, 0];
  const running = (async () => {
    while (going) await send(redis, "rpush", `${key}:list`, String(sent++));
  })();
  await until("commands under way", () => sent > 20);
  await cluster.beginMove(slot, to);
  await send(redis, "set", `${key}:new`, "asked");
  expect(await redis.run("read", `${key}:none`)).toEqual([]);
  expect(String(await redisCommand(to, "CLUSTER", "COUNTKEYSINSLOT", slot))).not.toBe("0");
  await cluster.finishMove(slot, to);
  const moved = sent;
  await until("commands after the move", () => sent > moved + 20);
  going = false;
  await running;
  expect(await redisCommand(to, "LRANGE", `${key}:list`, 0, -1)).toEqual(
    Array.from({ length: sent }, (_, id) => String(id)),
  );
  expect(await redis.run("read", `${key}:none`)).toEqual([]);
  expect(problems()).toEqual([]);
  await cluster.beginMove(slot, from);
  await cluster.finishMove(slot, from);
});

test("a cluster whose nodes are all gone is found anew by the nodes of the configuration", async () => {
  const proxies = await natted();
  const front = await opened.use(startTcpProxy(cluster.nodes[0] as RedisServer));
  const natMap: Record<string, TcpProxy> = { ...byNat(proxies).cluster.natMap };
  const { redis } = await open({ cluster: { nodes: [front], natMap } });
  const others = await natted();
  for (const [at, { host, port }] of cluster.nodes.entries()) natMap[`${host}:${port}`] = others[at] as TcpProxy;
  for (const proxy of proxies) await proxy.stop();
  await until(
    "answers of all nodes",
    async () => (await Promise.all(keys().map((key) => answers(redis, "get", key)))).every(Boolean),
    { timeoutMs: 20_000 },
  );
  expect(others.map(({ open: count }) => count > 0)).toEqual([true, true, true]);
});

test("a node that joins is used once a slot is its own, and its readiness is told", async () => {
  const { redis, readies } = await open();
  const node = await cluster.join();
  const key = keys()[1] ?? "";
  const slot = cluster.slotOf(key);
  const from = await cluster.ownerOf(slot);
  await cluster.beginMove(slot, node);
  await cluster.finishMove(slot, node);
  await until("a write at the new node", () => answers(redis, "set", key, "joined"));
  expect(await redisCommand(node, "GET", key)).toBe("joined");
  expect(readies()).toBe(4);
  await cluster.beginMove(slot, from);
  await cluster.finishMove(slot, from);
});

test("a frozen node costs its own keys only; its connection is dropped and made anew", async () => {
  const { redis, readies } = await open({ commandTimeoutMs: 300 });
  const [first = "", second = ""] = keys();
  const node = await cluster.ownerOf(cluster.slotOf(first));
  await node.pause();
  opened.onStop(() => node.resume());
  expect(await failureOf(send(redis, "get", first))).toMatchObject({
    code: "store_unavailable",
    message: "Redis: timed out",
  });
  await send(redis, "get", second);
  await until("the connection dropped", async () =>
    /not connected/.test((await failureOf(send(redis, "get", first))).message),
  );
  for (let count = 0; count < 20; count++) await send(redis, "ping"); // any node may answer
  await node.resume();
  await until("an answer", () => answers(redis, "get", first));
  expect(readies()).toBe(4);
});

test("a command that was given up is not sent again when its late answer is that the slot has moved", async () => {
  const proxies = await natted();
  const { redis } = await open({ ...byNat(proxies), commandTimeoutMs: 400 });
  const [key = ""] = keys();
  const slot = cluster.slotOf(key);
  const [from, to] = cluster.nodes as [RedisServer, RedisServer];
  await cluster.beginMove(slot, to);
  await cluster.finishMove(slot, to);
  proxies[0]?.holdAnswers(true);
  expect(await failureOf(send(redis, "rpush", `${key}:late`, "late"))).toMatchObject({ message: "Redis: timed out" });
  proxies[0]?.holdAnswers(false);
  await until("a later command", () => answers(redis, "rpush", `${key}:late`, "later"));
  await until("another", () => answers(redis, "rpush", `${key}:late`, "last"));
  expect(await redisCommand(to, "LRANGE", `${key}:late`, 0, -1)).toEqual(["later", "last"]);
  await cluster.beginMove(slot, from);
  await cluster.finishMove(slot, from);
});

test("a node that is asked for a slot on its way, but does not answer, fails that command and nothing else", async () => {
  const proxies = await natted();
  const { redis } = await open({ ...byNat(proxies), commandTimeoutMs: 300 });
  const [key = "", other = ""] = keys();
  const slot = cluster.slotOf(key);
  await cluster.beginMove(slot, cluster.nodes[2] as RedisServer);
  proxies[2]?.holdAnswers(true);
  expect(await failureOf(send(redis, "get", `${key}:asked`))).toMatchObject({ message: "Redis: timed out" });
  expect(await answers(redis, "get", other)).toBe(true);
  await redisCommand(cluster.nodes[0] as RedisServer, "CLUSTER", "SETSLOT", slot, "STABLE");
  await redisCommand(cluster.nodes[2] as RedisServer, "CLUSTER", "SETSLOT", slot, "STABLE");
});

test("a lost connection to one node is made anew; nothing is executed late or twice", async () => {
  const proxies = await natted();
  const { redis, readies } = await open(byNat(proxies));
  const [key = ""] = keys();
  const proxy = proxies[0] as TcpProxy;
  const acknowledged: string[] = [];
  for (let id = 0; id < 60; id++) {
    if (id % 20 === 10) proxy.cut();
    if (await answers(redis, "rpush", `${key}:lost`, String(id))) acknowledged.push(String(id));
    else await until("an answer", () => answers(redis, "get", key));
  }
  const list = (await redisCommand(cluster.nodes[0] as RedisServer, "LRANGE", `${key}:lost`, 0, -1)) as string[];
  expect(new Set(list).size).toBe(list.length);
  expect(list).toEqual(expect.arrayContaining(acknowledged));
  expect(readies()).toBeGreaterThanOrEqual(6);
});

test("nodes are reached by their NAT addresses only", async () => {
  const proxies = await natted();
  const { redis } = await open(byNat(proxies));
  for (const key of keys()) await send(redis, "set", key, "nat");
  for (const [at, node] of cluster.nodes.entries()) {
    const names = [...String(await redisCommand(node, "CLIENT", "LIST")).matchAll(/ name=(\S+) /g)].map(
      ([, name]) => name,
    );
    expect(names.filter((name) => name === "bearerswap")).toHaveLength(1);
    expect(proxies[at]?.open).toBeGreaterThan(0);
  }
});

test("NAT addresses are found for IPv6 addresses too, which ioredis writes without brackets", () => {
  expect(natMapping({ "[::1]:6379": { host: "h", port: 1 } })("::1:6379")).toEqual({ host: "h", port: 1 });
});

test("a subscription hears what is published at any node, and begins anew at another when asked or lost", async () => {
  const { redis } = await open();
  const heard = await hear(redis, "changes");
  for (const [at, node] of cluster.nodes.entries()) await redisCommand(node, "PUBLISH", "changes", `at ${at}`);
  await until("the messages", () => heard.messages.length === 3);
  redis.resubscribe();
  await until("the subscription made anew", () => heard.begun === 2);
  for (const node of cluster.nodes) await redisCommand(node, "CLIENT", "KILL", "TYPE", "pubsub");
  await until("the subscription made anew", () => heard.begun === 3);
  await untilHeard(redis, heard, "changes", "again");
});

test("what is wrong is said once, with what to do", async () => {
  const single = await openConnection(opened, { url: urlOf(cluster.nodes[0] as RedisServer) });
  const error = await failureOf(send(single.redis, "get", keys()[1] ?? ""));
  expect(error.message).toMatch(
    /MOVED.*this is one node of a Redis Cluster: set store\.redis\.cluster instead of url or sentinel$/,
  );
  expect(single.problems()).toHaveLength(1);
  const nowhere = await openConnection(opened, { cluster: { nodes: [{ host: "127.0.0.1", port: 1 }] }, wait: false });
  await until("the problem", () => nowhere.problems().length > 0);
  expect(await failureOf(send(nowhere.redis, "ping"))).toMatchObject({ code: "store_unavailable" });
  expect(nowhere.problems()).toEqual([expect.stringMatching(/^connect ECONNREFUSED 127\.0\.0\.1:1: /)]);
});

test("a replica that is made the master is followed, and the new master's readiness is told", async () => {
  const { redis, readies } = await open();
  await until("all masters", () => readies() === 3);
  const [key = ""] = keys();
  const master = await cluster.ownerOf(cluster.slotOf(key));
  const replica = await cluster.join();
  const id = String(await redisCommand(master, "CLUSTER", "MYID"));
  await until("a replica", () =>
    redisCommand(replica, "CLUSTER", "REPLICATE", id).then(
      () => true,
      () => false,
    ),
  );
  await until(
    "its link",
    async () => String(await redisCommand(replica, "INFO", "replication")).includes("master_link_status:up"),
    { timeoutMs: 20_000 },
  );
  await send(redis, "set", key, "before");
  await redisCommand(replica, "CLUSTER", "FAILOVER");
  await until("the new master", () => owns(replica, key));
  await until("a write there", () => answers(redis, "set", key, "after"));
  expect(await redisCommand(replica, "GET", key)).toBe("after");
  await until("its readiness", () => readies() === 4);
  await until(
    "the way back",
    async () => String(await redisCommand(master, "INFO", "replication")).includes("master_link_status:up"),
    { timeoutMs: 20_000 },
  );
  await redisCommand(master, "CLUSTER", "FAILOVER");
  await until("the former master", () => owns(master, key));
  await until("a write there", () => answers(redis, "set", key, "back"));
  await until("its readiness", () => readies() === 5);
});

/** False also while masters change, and nobody has the slot. */
async function owns(node: RedisServer, key: string): Promise<boolean> {
  return (await cluster.ownerOf(cluster.slotOf(key)).catch(() => undefined)) === node;
}

async function natted(): Promise<TcpProxy[]> {
  return Promise.all(cluster.nodes.map((node) => opened.use(startTcpProxy(node))));
}

function byNat(proxies: readonly TcpProxy[]) {
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ host, port }, at) => [`${host}:${port}`, proxies[at] as TcpProxy]),
  );
  return { cluster: { nodes: [proxies[0] as TcpProxy], natMap } };
}

test("a subscription whose node hears less than the others is made anew at another one, and what was heard before is asked for again", async () => {
  const nodes = [...cluster.nodes];
  // Node after node: without a loss, heartbeats through the subscription's own node would come often enough.
  let turn = 0;
  const random = { ...systemRandom(), fraction: () => (turn++ % 3) / 3 };
  const store = await opened.use(
    createRedisStore({
      config: { cluster: { nodes }, keyPrefix: "lossy:", commandTimeoutMs: 1_000 },
      ...{ clock: systemClock(), random, log: createLog({ level: "silent", format: "json" }), metrics: noStoreMetrics },
    }),
  );
  let [beats, gaps] = [0, 0];
  store.listen({ changed() {}, ended() {}, heard: () => beats++, gap: () => gaps++, tellsHistory() {} });
  const subscribed = async () => {
    const counts = await Promise.all(nodes.map((node) => redisCommand(node, "PUBSUB", "NUMSUB", "lossy:changes")));
    return nodes.filter((_, at) => (counts[at] as [string, number])[1] > 0);
  };
  await until("three heartbeats", () => beats >= 3);
  const [before] = await subscribed();
  const known = gaps;
  await redisCommand(before as RedisServer, "DEBUG", "DROP-CLUSTER-PACKET-FILTER", publishPacket);
  opened.onStop(() => redisCommand(before as RedisServer, "DEBUG", "DROP-CLUSTER-PACKET-FILTER", -1).then(() => {}));
  await until("a subscription elsewhere", async () => (await subscribed()).some((node) => node !== before), {
    timeoutMs: 30_000,
  });
  expect(gaps).toBeGreaterThan(known);
});
