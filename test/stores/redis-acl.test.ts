import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { createRedisFlowStore } from "../../src/stores/redis-flow-store.ts";
import { createRedisSessionIndex } from "../../src/stores/redis-session-index.ts";
import { startCluster } from "../support/redis-cluster.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startReplicated } from "../support/redis-replicated.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { hear, openConnection, send, untilHeard, urlOf } from "./connection-harness.ts";
import { describeContract } from "./contract.ts";
import { grantWrite, newKey } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import { describeContractOfRows, prefixes, underToolhive } from "./toolhive-harness.ts";

const document = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
/**
 * The lines of docs/operations.md: for every server, more for a cluster, for sentinels, more where users connect
 * accounts, and more where grants are ToolHive's rows.
 */
const [everywhere = "", inCluster = "", atSentinels = "", connecting = "", withToolhive = ""] =
  document.match(/^ACL SETUSER .*$/gm) ?? [];
const opened = resources();
const credentials = { username: "bearerswap", password: new Secret("PASSWORD") };

/** Sets the user up as a line says, without rights to commands that the server does not know. */
async function grant(server: RedisServer, line: string, unknown: readonly string[] = []): Promise<void> {
  const [, ...words] = line.split(" ");
  await redisCommand(server, "ACL", ...words.filter((word) => !unknown.includes(word)));
}

/** What was denied since the server began, other than attempts without a password. */
async function denied(server: RedisServer): Promise<string[]> {
  const log = (await redisCommand(server, "ACL", "LOG")) as string[][];
  return log.map((entry) => entry.join(" ")).filter((entry) => !entry.includes("reason auth"));
}

/** What the store itself does not: listening, the channel, another database. */
async function everythingElse(config: object): Promise<void> {
  const { redis } = await openConnection(opened, { ...credentials, ...config });
  const heard = await hear(redis, "bearerswap:changes");
  await untilHeard(redis, heard, "bearerswap:changes", "message");
  const index = "bearerswap:{session}:index";
  await redis.pipeline([
    ["sadd", index, "crm"],
    ["pexpire", index, "60000", "NX"],
    ["smembers", index],
    ["exists", index],
    ["srem", index, "crm"],
  ]);
  expect(await send(redis, "ping")).toBe("PONG");
  await redis.run("read", "bearerswap:{session}:grant:crm");
}

for (const hashExpiry of [true, false]) {
  describe(`with the rights of docs/operations.md, on a server ${hashExpiry ? "with" : "without"} HPEXPIRE`, () => {
    const group = resources("file");
    let server: RedisServer;
    let current: StoreUnderTest;
    beforeAll(async () => {
      server = await group.use(startRedis({ hashExpiry }));
      await grant(server, everywhere, hashExpiry ? [] : ["+hpexpire"]);
      const client = await openClient(group, server.url);
      const { store } = await openStore(group, server.url, credentials);
      current = { store, pass: (ms) => letTimePass(client, ms) };
    });
    describeContract(() => current);

    test("all the rest works too, nothing was denied, and there is no right that nothing needs", async () => {
      await everythingElse({ url: urlOf(server), database: 1 });
      expect(await denied(server)).toEqual([]);
      const used = new Set(
        [...String(await redisCommand(server, "INFO", "commandstats")).matchAll(/^cmdstat_([^:]+):/gm)].map(
          ([, name]) => `+${name}`,
        ),
      );
      const rights = everywhere
        .split(" ")
        .filter((word) => word.startsWith("+") && (hashExpiry || word !== "+hpexpire"));
      expect(rights.length).toBeGreaterThan(15);
      expect(rights.filter((right) => !used.has(right))).toEqual([]);
    });

    test("other keys and channels are out of reach", async () => {
      const { redis } = await openConnection(opened, { url: urlOf(server), ...credentials });
      for (const command of [
        ["smembers", "other:key"],
        ["publish", "other:channel", "x"],
        ["keys", "*"],
      ] as [string, ...string[]][])
        await expect(send(redis, ...command)).rejects.toThrow(/the ACL user lacks a right/);
    });
  });
}

test.each([true, false])(
  "a cluster needs the rights that docs/operations.md adds (HPEXPIRE: %s)",
  async (hashExpiry) => {
    const cluster = await opened.use(startCluster({ hashExpiry }));
    for (const node of cluster.nodes) {
      await grant(node, everywhere, hashExpiry ? [] : ["+hpexpire"]);
      await grant(node, inCluster);
    }
    await everythingElse({ cluster: { nodes: cluster.nodes } });
    for (const node of cluster.nodes) expect(await denied(node)).toEqual([]);
  },
);

test("sentinels need the rights that docs/operations.md gives, and a failover is heard with them", async () => {
  const servers = await opened.use(startReplicated());
  for (const sentinel of servers.sentinels) await grant(sentinel, atSentinels);
  for (const server of servers.servers) await grant(server, everywhere);
  const sentinel = { name: servers.name, nodes: servers.sentinels, ...credentials };
  await everythingElse({ sentinel });
  const { readies } = await openConnection(opened, { ...credentials, sentinel });
  await servers.failover();
  await until("the new master", () => readies() >= 2);
  for (const watched of servers.sentinels)
    expect((await denied(watched)).filter((entry) => !entry.includes("setinfo"))).toEqual([]);
});

test("where users connect accounts or issuers end sessions, the rights that docs/operations.md adds are enough, and each is needed", async () => {
  const server = await opened.use(startRedis());
  await grant(server, everywhere);
  await grant(server, connecting);
  const { redis } = await openConnection(opened, { url: urlOf(server), ...credentials });
  const flows = createRedisFlowStore({ redis, keyPrefix: "bearerswap:" });
  const use = async () => {
    await flows.put("state", "id", "value", 60_000);
    return [await flows.read("state", "id"), await flows.read("state", "id", 60_000), await flows.take("state", "id")];
  };
  expect(await use()).toEqual(["value", "value", "value"]);
  const heard = await hear(redis, "bearerswap:changes");
  await untilHeard(redis, heard, "bearerswap:changes", "message");
  await flows.end({ session: "session", endedAt: 1_000 }, 60_000);
  await until("the end", () => heard.messages.includes("ended 1000 session"));
  const index = createRedisSessionIndex({ redis, keyPrefix: "bearerswap:" });
  const name = { source: "agents", claim: "sub", value: "alice" } as const;
  await index.add(name, "session", 60_000);
  expect(await index.find(name)).toEqual(["session"]);
  expect(await denied(server)).toEqual([]);
  for (const right of connecting.split(" ").filter((word) => word.startsWith("+"))) {
    await redisCommand(server, "ACL", "SETUSER", "bearerswap", right.replace("+", "-"));
    await expect(use()).rejects.toThrow(/the ACL user lacks a right/);
    await redisCommand(server, "ACL", "SETUSER", "bearerswap", right);
  }
});

for (const prefix of prefixes) {
  describe(`with the rights of docs/operations.md to ToolHive's rows at ${prefix}`, () => {
    const group = resources("file");
    const line = withToolhive.replaceAll("thv:auth:{NAMESPACE:NAME}:", prefix);
    let server: RedisServer;
    let current: StoreUnderTest;
    beforeAll(async () => {
      server = await group.use(startRedis());
      await grant(server, everywhere);
      await grant(server, line);
      const client = await openClient(group, server.url);
      const { store } = await openStore(group, server.url, { ...credentials, toolhive: { prefix } });
      current = { store: underToolhive(store), pass: (ms) => letTimePass(client, ms) };
    });
    describeContractOfRows(() => current);

    test("nothing was denied, and there is no right that nothing needs", async () => {
      // A row without an end, in a set that has one.
      const key = newKey();
      for (const remainingMs of [60_000, null]) await current.store.put(key, grantWrite({ remainingMs }));
      expect(await denied(server)).toEqual([]);
      for (const right of line.split(" ").filter((word) => word.startsWith("+"))) {
        await redisCommand(server, "ACL", "SETUSER", "bearerswap", right.replace("+", "-"));
        await current.store.put(newKey(), grantWrite({ remainingMs: null })).catch(() => undefined);
        expect((await denied(server)).join()).toContain(right.slice(1));
        await redisCommand(server, "ACL", "SETUSER", "bearerswap", right);
        await redisCommand(server, "ACL", "LOG", "RESET");
      }
    });
  });
}
