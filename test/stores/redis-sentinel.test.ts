import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { redisCommand } from "../support/redis-command.ts";
import { type ReplicatedRedis, startReplicated } from "../support/redis-replicated.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { answers, failureOf, hear, openConnection, send, untilHeard } from "./connection-harness.ts";

const password = "data-secret";
const sentinelPassword = "watch-secret";
const group = resources("file");
const opened = resources();
let servers: ReplicatedRedis;
beforeAll(async () => {
  servers = await group.use(startReplicated({ password, sentinelPassword }));
});

const settings = () => ({
  password: new Secret(password),
  sentinel: { name: servers.name, nodes: servers.sentinels, password: new Secret(sentinelPassword) },
});
const on = (server: RedisServer, name: string, ...args: (string | number)[]) =>
  redisCommand({ ...server, password }, name, ...args);

describe("what is wrong with sentinels is said once, with what to do", () => {
  test("a master that they do not know", async () => {
    const sentinel = { ...settings().sentinel, name: "nobody" };
    const { redis, problems } = await openConnection(opened, { ...settings(), sentinel, wait: false });
    expect(await failureOf(send(redis, "ping"))).toMatchObject({ code: "store_unavailable" });
    expect(problems()).toEqual([
      expect.stringMatching(/^no sentinel tells the master: .*No such master.*: check store\.redis\.sentinel\.name$/),
    ]);
  });

  test("a wrong password of theirs", async () => {
    const sentinel = { ...settings().sentinel, password: new Secret("wrong-secret") };
    const { log, problems } = await openConnection(opened, { ...settings(), sentinel, wait: false });
    await until("the problem", () => problems().length > 0);
    expect(problems()).toEqual([
      expect.stringMatching(/^no sentinel tells the master: WRONGPASS.*store\.redis\.sentinel\.username and password/),
    ]);
    expect(log()).not.toContain("secret");
  });

  test("none of them there", async () => {
    const sentinel = { name: servers.name, nodes: [{ host: "127.0.0.1", port: 1 }] };
    const { redis, problems } = await openConnection(opened, { sentinel, wait: false });
    expect(await failureOf(send(redis, "ping"))).toMatchObject({
      message: expect.stringMatching(/not connected: no sentinel can be reached$/),
    });
    expect(problems()).toEqual(["no sentinel can be reached: check store.redis.sentinel.nodes and sentinel.tls"]);
  });
});

test("the master is found past sentinels that are gone, and by their NAT addresses", async () => {
  const proxies = new Map<string, { host: string; port: number }>();
  for (const server of [...servers.servers, ...servers.sentinels])
    proxies.set(`${server.host}:${server.port}`, await opened.use(startTcpProxy(server)));
  const [first, second] = servers.sentinels.map(
    ({ host, port }) => proxies.get(`${host}:${port}`) as { host: string; port: number },
  );
  const nodes = [{ host: "127.0.0.1", port: 1 }, first, second].filter((node) => node !== undefined);
  const sentinel = { ...settings().sentinel, nodes, natMap: Object.fromEntries(proxies) };
  const { redis } = await openConnection(opened, { ...settings(), sentinel, database: 2 });
  await send(redis, "set", "nat", "through");
  const master = await servers.master();
  expect(String(await on(master, "INFO", "keyspace"))).toContain("db2:keys=1");
  const direct = [...String(await on(master, "CLIENT", "LIST")).matchAll(/ addr=\S+:(\d+) .* name=bearerswap /g)];
  expect(direct).toHaveLength(1);
  expect(proxies.get(`${master.host}:${master.port}`)).toMatchObject({ accepted: 1, open: 1 });
});

test("a server that was named a master, but is none, is not used", async () => {
  const master = await servers.master();
  const replica = servers.servers.find((server) => server !== master) as RedisServer;
  await until("its role", async () => ((await on(replica, "ROLE")) as string[])[0] === "slave");
  const proxy = await opened.use(startTcpProxy(replica));
  const sentinel = { ...settings().sentinel, natMap: { [`${master.host}:${master.port}`]: proxy } };
  const { redis, readies } = await openConnection(opened, { ...settings(), sentinel, wait: false });
  expect(await answers(redis)).toBe(false);
  await until("further attempts", () => proxy.accepted >= 3);
  expect(await answers(redis)).toBe(false);
  expect(readies()).toBe(0);
});

test("a failover is followed by commands and subscription; none of the commands is executed twice", async () => {
  const { redis, readies, log } = await openConnection(opened, settings());
  const heard = await hear(redis, "changes");
  let going = true;
  let sent = 0;
  let answered = 0;
  const running = (async () => {
    while (going) {
      if (await answers(redis, "rpush", "list", String(sent++))) answered++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await until("commands under way", () => answered > 10);
  const master = await servers.failover();
  await until("a connection to the new master", () => readies() >= 2);
  const before = answered;
  await until("commands that work again", () => answered > before + 10);
  going = false;
  await running;
  const list = (await on(master, "LRANGE", "list", 0, -1)) as string[];
  expect(new Set(list).size).toBe(list.length);
  expect(list.at(-1)).toBe(String(sent - 1));
  await until("the subscription made anew", () => heard.begun >= 2);
  await untilHeard(redis, heard, "changes", "after the failover");
  expect(log().split("\n").length).toBeLessThan(12);
  expect(log()).not.toContain("secret");
});

test("a master that freezes is left for the one that the sentinels then name", async () => {
  const { redis } = await openConnection(opened, settings());
  const heard = await hear(redis, "changes");
  const frozen = await servers.master();
  await frozen.pause();
  opened.onStop(() => frozen.resume());
  expect(await failureOf(send(redis, "set", "key", "late"))).toMatchObject({ code: "store_unavailable" });
  const master = await servers.failedOverFrom(frozen);
  await until("a write at the new master", () => answers(redis, "set", "key", "value"), { timeoutMs: 20_000 });
  expect(await on(master, "GET", "key")).toBe("value");
  await until("the subscription made anew", () => heard.begun >= 2, { timeoutMs: 20_000 });
  await untilHeard(redis, heard, "changes", "after the freeze");
});

test("a master that the sentinels cannot reach any more is left, though it still answers: what it takes is lost later", async () => {
  const cut = await opened.use(startReplicated({ password }));
  const { redis, readies } = await openConnection(opened, {
    password: new Secret(password),
    sentinel: { name: cut.name, nodes: cut.sentinels },
  });
  const heard = await hear(redis, "changes");
  const former = await cut.master();
  await on(former, "CONFIG", "SET", "requirepass", "changed");
  const list = String(await redisCommand({ ...former, password: "changed" }, "CLIENT", "LIST"));
  for (const [, id = ""] of list.matchAll(/^id=(\d+) .* name=sentinel-/gm))
    await redisCommand({ ...former, password: "changed" }, "CLIENT", "KILL", "ID", id);
  const master = await cut.failedOverFrom(former);
  await until("a connection to the new master", () => readies() >= 2);
  await until("a write there", () => answers(redis, "set", "cut", "off"));
  expect(await on(master, "GET", "cut")).toBe("off");
  await until("the subscription made anew", () => heard.begun >= 2);
});
