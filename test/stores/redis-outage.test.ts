import { type AddressInfo, createServer } from "node:net";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { grantWrite, newKey, summaryOf } from "./grants.ts";
import { answers, openClient, openStore } from "./redis-harness.ts";

const opened = resources();
const { use } = opened;
const secretWrite = (version = "v1") => grantWrite({ version, refresh: "refresh-secret", access: "access-secret" });

/** What a call throws, and how long it took. */
async function failureOf(call: () => Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const startedAt = performance.now();
  const error = await call().then(
    (value) => new Error(`no failure but ${inspect(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
  return { error, ms: performance.now() - startedAt };
}

test("while Redis is gone every call fails at once with store_unavailable, and says no token", async () => {
  const server = await use(startRedis());
  const { store, log } = await openStore(opened, server.url);
  const key = newKey();
  await store.put(key, secretWrite());
  await server.kill("SIGKILL");
  const calls = [
    () => store.read(key),
    () => store.put(key, secretWrite()),
    () => store.commit(key, "v1", secretWrite()),
    () => store.refuse(key, "v1", "invalid_grant"),
    () => store.revoke(key, "tomb"),
    () => store.list(key.session, ["crm"]),
    () => store.ping(),
  ];
  for (const call of calls) {
    const { error, ms } = await failureOf(call);
    expect(error).toMatchObject({ code: "store_unavailable", message: expect.stringMatching(/^Redis: /) });
    expect(ms).toBeLessThan(1_000);
  }
  expect(log()).not.toContain("secret");
});

test("after a restart it answers again, and nothing that failed meanwhile is sent late", async () => {
  const server = await use(startRedis());
  const { store, log } = await openStore(opened, server.url);
  const [before, during] = [newKey(), newKey()];
  await (await openClient(opened, server.url)).call("CLIENT", "PAUSE", "60000", "ALL");
  const unanswered = failureOf(() => store.put(before, secretWrite()));
  await server.kill("SIGKILL");
  expect((await unanswered).error).toMatchObject({ code: "store_unavailable" });
  expect((await failureOf(() => store.put(during, secretWrite()))).error).toMatchObject({ code: "store_unavailable" });

  const again = await use(startRedis({ port: server.port }));
  await until("the store's answer", () => answers(store));
  const client = await openClient(opened, again.url);
  expect(await client.keys("*")).toEqual([]);
  const key = newKey();
  await store.put(key, secretWrite());
  expect(await summaryOf(store, key)).toMatchObject({ state: "active", refresh: "refresh-secret" });
  expect(log().match(/connected to Redis/g)).toHaveLength(2);
  expect(log()).not.toContain("secret");
});

test("a store opened before its Redis finds it once it is there, and logs the same problem once", async () => {
  let attempts = 0;
  const refusing = createServer((socket) => {
    attempts++;
    socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve));
  const { port } = refusing.address() as AddressInfo;
  const { store, log } = await openStore(opened, `redis://127.0.0.1:${port}`, { wait: false });
  const { error, ms } = await failureOf(() => store.ping());
  expect(error).toMatchObject({ code: "store_unavailable" });
  expect(ms).toBeLessThan(1_000);
  await until("the fourth attempt to connect", () => attempts >= 4);
  await new Promise((resolve) => refusing.close(resolve));
  await use(startRedis({ port }));
  await until("the store's first answer", () => answers(store));
  expect(log().match(/ECONNRESET/g)).toHaveLength(1);
});

test("a master that was made a replica refuses writes with store_unavailable, and the error holds no token", async () => {
  const server = await use(startRedis());
  const { store } = await openStore(opened, server.url);
  const client = await openClient(opened, server.url);
  const key = newKey();
  await store.put(key, grantWrite({ version: "v1" }));
  await client.replicaof("127.0.0.1", 1);
  for (const call of [() => store.put(key, secretWrite("v2")), () => store.commit(key, "v1", secretWrite("v2"))])
    expect((await failureOf(call)).error).toMatchObject({
      code: "store_unavailable",
      message: expect.stringMatching(/^Redis: .*READONLY/),
    });
  await until("the connection made anew", () => answers(store));
  expect(await summaryOf(store, key)).toMatchObject({ version: "v1", state: "active" });
  await client.replicaof("NO", "ONE");
  expect(await store.commit(key, "v1", secretWrite("v2"))).toBe("written");
});

test("the first call of a store whose Redis is there is answered: no false alarm at start", async () => {
  const server = await use(startRedis());
  const { store } = await openStore(opened, server.url, { wait: false });
  await store.ping();
});

describe("a Redis that does not answer", () => {
  async function frozen(): Promise<{ server: RedisServer } & Awaited<ReturnType<typeof openStore>>> {
    const server = await use(startRedis());
    const store = await openStore(opened, server.url, { commandTimeoutMs: 200 });
    await store.store.ping();
    await server.pause();
    return { server, ...store };
  }

  test("costs a call no more than the command timeout, and is used again when it wakes", async () => {
    const { server, store } = await frozen();
    const key = newKey();
    for (const call of [() => store.read(key), () => store.put(key, secretWrite())]) {
      const { error, ms } = await failureOf(call);
      expect(error).toMatchObject({ code: "store_unavailable", message: expect.stringMatching(/timed out|was lost/) });
      expect(ms).toBeGreaterThan(150);
      expect(ms).toBeLessThan(1_500);
    }
    await server.resume();
    await until("an answer", () => answers(store));
    await store.put(key, grantWrite({ version: "v9" }));
    expect(await summaryOf(store, key)).toMatchObject({ version: "v9" });
  });

  test("does not hold up the end of the process", async () => {
    const { store } = await frozen();
    const startedAt = performance.now();
    await store.close();
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });
});

describe("a Redis with a password", () => {
  test("takes it from the URL, or from settings of its own", async () => {
    const server = await use(startRedis({ password: "pass word/secret" }));
    const inUrl = await openStore(opened, server.url);
    const key = newKey();
    await inUrl.store.put(key, grantWrite({ version: "v1" }));
    const plainUrl = `redis://127.0.0.1:${server.port}`;
    const settings = await openStore(opened, plainUrl, {
      username: "default",
      password: new Secret("pass word/secret"),
    });
    expect(await summaryOf(settings.store, key)).toMatchObject({ version: "v1" });
    expect(inUrl.log() + settings.log()).not.toContain("secret");
  });

  test("refuses a wrong one with store_unavailable, which is logged without it", async () => {
    const server = await use(startRedis({ password: "right-secret" }));
    const { store, log } = await openStore(opened, `redis://:wrong-secret@127.0.0.1:${server.port}`, { wait: false });
    await until("the refusal", async () => /WRONGPASS|NOAUTH/.test(log()));
    expect((await failureOf(() => store.read(newKey()))).error).toMatchObject({ code: "store_unavailable" });
    expect(log()).not.toContain("secret");
  });

  test("is not quoted where the server does not know AUTH", async () => {
    const server = await use(startRedis({ args: ["--rename-command", "AUTH", "", "--rename-command", "HELLO", ""] }));
    const { store, log } = await openStore(opened, `redis://:some-secret@127.0.0.1:${server.port}`, { wait: false });
    await until("a word about it", async () => /unknown command|connected/.test(log()));
    await failureOf(() => store.read(newKey()));
    expect(log()).not.toContain("secret");
  });
});
