import { expect, test } from "vitest";
import { createLog } from "../../src/platform/log.ts";
import { watchHistories } from "../../src/stores/redis-history.ts";
import type { ChangeListener, TokenStore } from "../../src/stores/token-store.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { expectAbout, grantWrite, newKey } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";

const opened = resources();
const debug = ["--enable-debug-command", "local"];

/** Counts what a store tells; a heartbeat comes each second. */
function listenTo(store: TokenStore) {
  const told = { gaps: 0, beats: 0, tells: [] as boolean[] };
  const listener: ChangeListener = {
    changed() {},
    ended() {},
    heard: () => void told.beats++,
    gap: () => void told.gaps++,
    tellsHistory: (tells) => void told.tells.push(tells),
  };
  store.listen(listener);
  return told;
}

test("a server whose data belong to another history than before tells of a gap, though no connection broke", async () => {
  const redis = await opened.use(startRedis({ args: debug }));
  const { store } = await openStore(opened, redis.url);
  const told = listenTo(store);
  await until("the first heartbeat and answer", () => told.beats > 0 && told.tells.length > 0);
  const { gaps } = told;
  const { beats } = told;
  await until("two more heartbeats", () => told.beats >= beats + 2);
  expect(told.gaps).toBe(gaps);
  await redisCommand(redis, "DEBUG", "CHANGE-REPL-ID");
  await until("a gap", () => told.gaps > gaps);
  await until("two more heartbeats", () => told.beats >= beats + 4);
  expect([told.gaps, told.tells.includes(false)]).toEqual([gaps + 1, false]);
});

test("a server that came back on new connections is one failover: its history is no further gap", async () => {
  const redis = await opened.use(startRedis());
  const { store } = await openStore(opened, redis.url);
  const told = listenTo(store);
  await until("the first heartbeat and answer", () => told.beats > 0 && told.tells.length > 0);
  const { gaps } = told;
  await redis.kill("SIGKILL");
  await opened.use(startRedis({ port: redis.port }));
  const { beats } = told;
  await until("three heartbeats", () => told.beats >= beats + 3, { timeoutMs: 20_000 });
  // The connection for commands and the one for changes.
  expect(told.gaps).toBe(gaps + 2);
});

test.each([true, false])(
  "a row is kept from everybody for the time given where its history is not the server's; then it is the server's (HPEXPIRE: %s)",
  async (hashExpiry) => {
    const redis = await opened.use(startRedis({ hashExpiry, args: debug }));
    const { store } = await openStore(opened, redis.url);
    const key = newKey("crm");
    await store.put(key, grantWrite({ version: "v1" }));
    await redisCommand(redis, "DEBUG", "CHANGE-REPL-ID");
    const acquire = (attempt: string, more: { again?: boolean; quietMs?: number } = {}) =>
      store.acquire(key, { attempt, seen: "v1", leaseMs: 15_000, usableMs: 1_000, quietMs: 3_000, ...more });
    expect(await store.peek(key)).toMatchObject({ standing: { isOlder: true, quietMs: 0 } });
    expect(await acquire("a")).toMatchObject({ kind: "busy", remainingMs: 3_000 });
    const quiet = await store.peek(key);
    expect(quiet).toMatchObject({ standing: { isOlder: false, lease: undefined } });
    expectAbout(quiet.kind === "found" ? quiet.standing.quietMs : undefined, 3_000);
    expect((await acquire("b")).kind).toBe("busy");
    expect((await acquire("c", { again: true })).kind).toBe("acquired");
    await store.release(key, { attempt: "c", unused: true, backOffMs: 0 });
    expect((await acquire("d")).kind).toBe("acquired");
  },
);

test("histories that come back in turn are those of several servers behind one name: no gap, and they count for nothing", async () => {
  const gaps: string[] = [];
  const tells: boolean[] = [];
  const log = createLog({ level: "silent", format: "json" });
  const listener = { gap: () => void gaps.push("gap"), tellsHistory: (each: boolean) => void tells.push(each) };
  const answers = ["master a", "master b", "master a", "master b", "master c"];
  const connection = {};
  const watch = watchHistories({ ask: async (tell) => tell({ connection, id: answers.shift() ?? "" }), listener, log });
  for (let time = 0; time < 5; time++) await watch.look();
  expect([gaps.length, tells]).toEqual([2, [true, true, false, false, false]]);
});

test("a row is kept from nobody where the server's history is the one before its last: another server took turns", async () => {
  const redis = await opened.use(startRedis());
  const { store } = await openStore(opened, redis.url);
  const client = await openClient(opened, redis.url);
  const key = newKey("crm");
  await store.put(key, grantWrite({ version: "v1" }));
  const name = `bearerswap:{${key.session}}:grant:${key.upstream}`;
  const own = await client.hget(name, "hist");
  await client.hset(name, "hist", `${"f".repeat(40)} ${own}`);
  const request = { attempt: "a", seen: "v1", leaseMs: 15_000, usableMs: 1_000, quietMs: 3_000 };
  expect((await store.acquire(key, request)).kind).toBe("acquired");
});
