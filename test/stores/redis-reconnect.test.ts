import { expect, test } from "vitest";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { answers, failureOf, hear, openConnection, send, untilHeard, urlOf } from "./connection-harness.ts";

const opened = resources();
const { use } = opened;

/** A server, and a connection to it over a network that can fail. */
async function behindProxy({ commandTimeoutMs = 1_000 } = {}) {
  const server = await use(startRedis());
  const proxy = await use(startTcpProxy(server));
  return { server, proxy, ...(await openConnection(opened, { url: urlOf(proxy), commandTimeoutMs })) };
}

test("a lost connection is made anew, and everyone who waits for that is told", async () => {
  const { redis, proxy, readies, problems } = await behindProxy();
  expect(readies()).toBe(1);
  proxy.cut();
  await until("a second connection", () => readies() >= 2);
  expect(await send(redis, "ping")).toBe("PONG");
  expect(problems()).toContain("the connection was lost: undefined");
});

test("a half-open connection fails commands by the time-out, is dropped, and made anew", async () => {
  const { redis, proxy, readies } = await behindProxy({ commandTimeoutMs: 200 });
  proxy.freeze();
  expect(await failureOf(send(redis, "ping"))).toMatchObject({
    code: "store_unavailable",
    message: "Redis: timed out",
  });
  await until("a second connection", () => readies() >= 2);
  expect(await send(redis, "ping")).toBe("PONG");
});

test("a slow answer is no half-open connection: others are not dropped for it", async () => {
  const { redis, server, readies } = await behindProxy({ commandTimeoutMs: 1_000 });
  await redisCommand(server, "CLIENT", "PAUSE", 1_200, "ALL");
  expect(await failureOf(send(redis, "get", "key"))).toMatchObject({ message: "Redis: timed out" });
  await until("an answer", () => answers(redis));
  expect(readies()).toBe(1);
});

test("nothing is executed late or twice: each command that was given up had its one chance", async () => {
  const { redis, server, proxy } = await behindProxy({ commandTimeoutMs: 150 });
  const attempted: string[] = [];
  const acknowledged: string[] = [];
  const push = async () => {
    const id = String(attempted.length);
    attempted.push(id);
    if (await answers(redis, "rpush", "list", id)) acknowledged.push(id);
  };
  const frozen: string[] = [];
  for (let round = 0; round < 4; round++) {
    for (let count = 0; count < 20; count++) await push();
    proxy.freeze(); // what is sent now never arrives
    const from = attempted.length;
    await Promise.all(Array.from({ length: 10 }, push));
    frozen.push(...attempted.slice(from));
    proxy.cut();
    await Promise.all(Array.from({ length: 10 }, push)); // there is no connection
    await until("an answer", () => answers(redis));
  }
  const list = (await redisCommand(server, "LRANGE", "list", 0, -1)) as string[];
  expect(new Set(list).size).toBe(list.length);
  expect(list, "in the order in which they were sent").toEqual(
    [...list].sort((one, other) => Number(one) - Number(other)),
  );
  expect(list).toEqual(expect.arrayContaining(acknowledged));
  expect(list.filter((id) => frozen.includes(id))).toEqual([]);
  expect(acknowledged.length).toBeGreaterThan(0);
});

test("a command that the server has, but answers too late, is not sent again", async () => {
  const { redis, server } = await behindProxy({ commandTimeoutMs: 150 });
  await redisCommand(server, "CLIENT", "PAUSE", 60_000, "WRITE");
  expect(await answers(redis, "incr", "count")).toBe(false);
  await redisCommand(server, "CLIENT", "UNPAUSE");
  await until("an answer", () => answers(redis));
  expect(Number((await send(redis, "get", "count")) ?? 0)).toBeLessThanOrEqual(1);
});

test("scripts run on a server that was restarted and knows none of them", async () => {
  const server = await use(startRedis());
  const { redis } = await openConnection(opened, { url: urlOf(server) });
  await redis.run("read", "key");
  await redisCommand(server, "SCRIPT", "FLUSH");
  await redis.run("read", "key");
  await server.kill("SIGKILL");
  await use(startRedis({ port: server.port }));
  await until("an answer", () => answers(redis));
  await redis.run("read", "key");
});

test("closing ends a connection that was never made, and one that is frozen", async () => {
  const { redis, server, problems } = await behindProxy({ commandTimeoutMs: 200 });
  await server.pause();
  await redis.close();
  expect(problems()).toEqual([]);
  const never = await openConnection(opened, { url: urlOf({ host: "127.0.0.1", port: 1 }), wait: false });
  await never.redis.close();
  expect(await answers(never.redis)).toBe(false);
});

test("a subscription hears what is published, and begins anew after CLIENT KILL and after every loss", async () => {
  const { redis, server, proxy } = await behindProxy();
  const heard = await hear(redis, "changes");
  await redis.publish("changes", "first");
  await until("the message", () => heard.messages.includes("first"));
  await redisCommand(server, "CLIENT", "KILL", "TYPE", "pubsub");
  await until("the subscription made anew", () => heard.begun === 2);
  proxy.cut();
  await until("the subscription made anew", () => heard.begun === 3);
  await untilHeard(redis, heard, "changes", "second");
});

test("a subscription that is half-open is dropped when asked, and one that waits for the server is left in peace", async () => {
  const { redis, server, proxy } = await behindProxy();
  redis.resubscribe(); // there is none yet
  const heard = await hear(redis, "changes");
  proxy.freeze();
  redis.resubscribe();
  await until("the subscription made anew", () => heard.begun === 2);
  await untilHeard(redis, heard, "changes", "message");
  await server.kill("SIGKILL");
  for (let count = 0; count < 5; count++) redis.resubscribe();
  await use(startRedis({ port: server.port }));
  await until("the subscription made anew", () => heard.begun === 3);
});

test.each([true, false])(
  "a demoted master is left: the connection is made anew until writes work again (HPEXPIRE: %s)",
  async (hashExpiry) => {
    const server = await use(startRedis({ hashExpiry }));
    const { redis, readies, problems } = await openConnection(opened, { url: urlOf(server) });
    const revoke = () => redis.run("revoke", "key", ["changes", "v1", "60000"]);
    await redisCommand(server, "REPLICAOF", "127.0.0.1", 1);
    expect((await failureOf(revoke())).message).toMatch(/^Redis: READONLY.*this is a replica/);
    await until("a second connection", () => readies() >= 2);
    await redisCommand(server, "REPLICAOF", "NO", "ONE");
    await until("a write", () =>
      revoke().then(
        () => true,
        () => false,
      ),
    );
    expect(problems().filter((problem) => problem.startsWith("READONLY"))).toHaveLength(1);
  },
);
