import { beforeAll, describe, expect, test } from "vitest";
import { withHost, withHosts } from "../../src/stores/redis-unnamed-nodes.ts";
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts";
import { redisCommand } from "../support/redis-command.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { answers, hear, openConnection, send, untilHeard } from "./connection-harness.ts";

describe("a cluster that names no addresses (cluster-preferred-endpoint-type unknown-endpoint)", () => {
  const group = resources("file");
  const opened = resources();
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await group.use(startCluster({ args: ["--cluster-preferred-endpoint-type", "unknown-endpoint"] }));
  });
  const open = () => openConnection(opened, { cluster: { nodes: [cluster.nodes[1] as RedisServer] } });
  const keysOf = (count: number) => Array.from({ length: count }, (_, id) => `{session-${id}}:grant`);

  test("is reached at the host of the configuration, each node at its port", async () => {
    const slots = (await redisCommand(cluster.nodes[0] as RedisServer, "CLUSTER", "SLOTS")) as [
      number,
      number,
      [string | null],
    ][];
    expect(slots.map(([, , [host]]) => host)).toEqual([null, null, null]);
    const { redis, readies, problems } = await open();
    await Promise.all(keysOf(30).map((key) => send(redis, "set", key, key)));
    expect(await redis.run("read", `${keysOf(1)[0]}:none`)).toEqual([]);
    const sizes = await Promise.all(cluster.nodes.map((node) => redisCommand(node, "DBSIZE")));
    expect(sizes.map((size) => Number(size) > 0)).toEqual([true, true, true]);
    await until("all masters", () => readies() === 3);
    expect(problems()).toEqual([]);
  });

  test("is followed by ASK and MOVED without a host, and heard by a subscription", async () => {
    const { redis, problems } = await open();
    const [key = ""] = keysOf(1);
    const slot = cluster.slotOf(key);
    const from = await cluster.ownerOf(slot);
    const to = cluster.nodes.find((node) => node !== from) as RedisServer;
    await send(redis, "set", key, "before");
    await cluster.beginMove(slot, to);
    await send(redis, "set", `${key}:new`, "asked");
    await cluster.finishMove(slot, to);
    await expect(redisCommand(from, "GET", key)).rejects.toThrow(`MOVED ${slot} :${to.port}`);
    await send(redis, "set", key, "after");
    expect([await redisCommand(to, "GET", key), await redisCommand(to, "GET", `${key}:new`)]).toEqual([
      "after",
      "asked",
    ]);
    const heard = await hear(redis, "changes");
    await untilHeard(redis, heard, "changes", "again");
    expect(problems()).toEqual([]);
    await cluster.beginMove(slot, from);
    await cluster.finishMove(slot, from);
  });

  test("is found again by the node of the configuration after its connections were lost", async () => {
    const { redis } = await open();
    const keys = keysOf(10);
    for (const node of cluster.nodes) await redisCommand(node, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until(
      "answers of all nodes",
      async () => (await Promise.all(keys.map((key) => answers(redis, "get", key)))).every(Boolean),
      { timeoutMs: 20_000 },
    );
  });
});

describe("a node without a host", () => {
  test("is where the one that was asked is; one whose host name is not set is at its address", () => {
    const reply = [
      [0, 9, [null, 1, "a", []], ["", 2, "b", ["hostname", ""]], ["?", 3, "c", ["ip", "10.0.0.3"]], ["?", 4, "d", []]],
      [10, 19, ["10.0.0.9", 9, "e", ["hostname", "h"]]],
    ];
    expect(withHosts(reply, "redis.internal")).toEqual([
      [
        0,
        9,
        ["redis.internal", 1, "a", []],
        ["redis.internal", 2, "b", ["hostname", ""]],
        ["10.0.0.3", 3, "c", ["ip", "10.0.0.3"]],
        ["redis.internal", 4, "d", []],
      ],
      [10, 19, ["10.0.0.9", 9, "e", ["hostname", "h"]]],
    ]);
    expect([withHosts(undefined, "h"), withHosts("OK", "h"), withHosts([], undefined)]).toEqual([undefined, "OK", []]);
  });

  test.each([
    ["MOVED 3999 :6381", "MOVED 3999 redis.internal:6381"],
    ["ASK 3999 :6381", "ASK 3999 redis.internal:6381"],
    ["MOVED 3999 ?:6381", "MOVED 3999 redis.internal:6381"],
    ["MOVED 3999 10.0.0.1:6381", "MOVED 3999 10.0.0.1:6381"],
    ["MOVED 3999 ::1:6381", "MOVED 3999 ::1:6381"],
    ["ERR MOVED 3999 :6381", "ERR MOVED 3999 :6381"],
  ])("%s leads to the host that answered: %s", (message, named) => {
    expect([withHost(message, "redis.internal"), withHost(message, undefined)]).toEqual([named, message]);
  });
});
