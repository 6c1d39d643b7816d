import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { manualClock } from "../support/manual-clock.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { answers, failureOf, hear, openConnection, send, urlOf } from "./connection-harness.ts";

const opened = resources();
const { use } = opened;

test("commands go to the database of the URL, or of the settings", async () => {
  const server = await use(startRedis());
  const byUrl = await openConnection(opened, { url: new Secret(`${server.url}/3`) });
  const bySetting = await openConnection(opened, { url: urlOf(server), database: 4 });
  await send(byUrl.redis, "set", "key", "3");
  await send(bySetting.redis, "set", "key", "4");
  expect(String(await redisCommand(server, "INFO", "keyspace")).match(/db\d+:keys=\d+/g)).toEqual([
    "db3:keys=1",
    "db4:keys=1",
  ]);
});

test("CLIENT LIST shows the connections by name, the subscription's too", async () => {
  const server = await use(startRedis());
  const { redis } = await openConnection(opened, { url: urlOf(server), connectionName: "gw-1" });
  await hear(redis, "changes");
  const list = String(await redisCommand(server, "CLIENT", "LIST"));
  expect([...list.matchAll(/ name=(\S+) /g)].map(([, name]) => name).sort()).toEqual(["gw-1", "gw-1:changes"]);
});

test("a pipeline is answered in order, and its first failure is thrown when all have been tried", async () => {
  const server = await use(startRedis());
  const { redis } = await openConnection(opened, { url: urlOf(server) });
  expect(
    await redis.pipeline([
      ["set", "a", "1"],
      ["incr", "a"],
      ["get", "a"],
    ]),
  ).toEqual(["OK", 2, "2"]);
  const failed = redis.pipeline([
    ["set", "a", "text-secret"],
    ["incr", "a"],
    ["set", "b", "2"],
  ]);
  const error = await failureOf(failed);
  expect(error).toMatchObject({ code: "store_unavailable", message: expect.stringContaining("not an integer") });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
  expect(await send(redis, "get", "b")).toBe("2");
});

test("more than 10000 commands under way fail at once rather than pile up", async () => {
  const server = await use(startRedis());
  const { redis } = await openConnection(opened, { url: urlOf(server), commandTimeoutMs: 20_000 });
  await server.pause();
  const waiting = Array.from({ length: 10_000 }, () => answers(redis, "get", "a"));
  expect(await failureOf(send(redis, "get", "a"))).toMatchObject({
    code: "store_unavailable",
    message: "Redis: 10000 commands are under way already",
  });
  await server.resume();
  expect((await Promise.all(waiting)).every(Boolean)).toBe(true);
  expect(await answers(redis)).toBe(true);
});

describe("what is wrong with Redis is said once, with what to do", () => {
  const acl = (server: { host: string; port: number }, ...rights: string[]) =>
    redisCommand(server, "ACL", "SETUSER", "gateway", "reset", "on", ">pass-secret", "~*", "&*", ...rights);

  test("a wrong password", async () => {
    const server = await use(startRedis({ password: "right-secret" }));
    const { redis, log, problems } = await openConnection(opened, {
      url: urlOf(server),
      password: new Secret("wrong-secret"),
      wait: false,
    });
    await until("the problem", () => problems().length > 0);
    expect(problems()).toEqual([expect.stringMatching(/^WRONGPASS.*check store\.redis\.username and password/)]);
    expect(await failureOf(send(redis, "ping"))).toMatchObject({
      message: expect.stringMatching(/^Redis: not connected: WRONGPASS/),
    });
    expect(log()).not.toContain("secret");
  });

  test("no password where one is needed", async () => {
    const server = await use(startRedis({ password: "right-secret" }));
    const { problems } = await openConnection(opened, { url: urlOf(server), wait: false });
    await until("the problem", () => problems().length > 0);
    expect(problems()).toEqual([expect.stringMatching(/NOAUTH.*check store\.redis\.username and password/)]);
  });

  test("a database that there is not, and none of the others is used instead", async () => {
    const server = await use(startRedis());
    const { redis, problems } = await openConnection(opened, { url: urlOf(server), database: 99, wait: false });
    await until("the problem", () => problems().length > 0);
    expect(problems()[0]).toMatch(/DB index is out of range.*set store\.redis\.database/);
    expect(await answers(redis, "set", "key", "value")).toBe(false);
    expect(await redisCommand(server, "DBSIZE")).toBe(0);
  });

  test("a right that the user lacks, for a command, inside a script, and to subscribe", async () => {
    const server = await use(startRedis());
    await acl(server, "+@all", "-hmget", "-subscribe", "-sadd");
    const config = { url: urlOf(server), username: "gateway", password: new Secret("pass-secret") };
    const { redis, problems } = await openConnection(opened, config);
    const advice = /: the ACL user lacks a right: give it the line under Redis ACL in docs\/operations\.md$/;
    expect((await failureOf(send(redis, "sadd", "key", "member-secret"))).message).toMatch(advice);
    expect((await failureOf(redis.run("read", "key"))).message).toMatch(advice);
    await hear(redis, "changes", { wait: false });
    await until("the third problem", () => problems().length === 3);
    for (const problem of problems()) expect(problem).toMatch(advice);
    expect(problems().join()).not.toContain("secret");
  });

  test("a single server where a cluster was meant", async () => {
    const server = await use(startRedis());
    const { redis, problems } = await openConnection(opened, { cluster: { nodes: [server] }, wait: false });
    await until("the problem", () => problems().length > 0);
    expect(problems()[0]).toMatch(
      /cluster support disabled: this is no Redis Cluster: set store\.redis\.url or sentinel instead of cluster$/,
    );
    expect(await answers(redis)).toBe(false);
  });
});

test("a problem that comes and goes is logged once a minute", async () => {
  const clock = manualClock();
  const server = await use(startRedis());
  const proxy = await use(startTcpProxy(server));
  const { redis, problems, log } = await openConnection(opened, { url: urlOf(proxy), clock });
  const lose = async () => {
    proxy.cut();
    await until("the loss", async () => !(await answers(redis)));
    await until("an answer", () => answers(redis));
  };
  const losses = () => problems().filter((problem) => problem.startsWith("the connection was lost")).length;
  for (let count = 0; count < 3; count++) await lose();
  expect(losses()).toBe(1);
  await clock.advance(60_000);
  await lose();
  expect(losses()).toBe(2);
  expect(log().match(/connected to Redis/g)?.length).toBeGreaterThanOrEqual(3);
});
