import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { createRedisStore, type RedisStoreConfig } from "../../src/stores/redis-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { startCluster } from "../support/redis-cluster.ts";
import { startReplicated } from "../support/redis-replicated.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { grantWrite, summaryOf } from "./grants.ts";
import { answers } from "./redis-harness.ts";
import { newPlace, prefixes } from "./toolhive-harness.ts";

const opened = resources();

async function openAt(config: Pick<RedisStoreConfig, "cluster" | "sentinel">, prefix: string) {
  const settings = { ...config, keyPrefix: "bearerswap:", commandTimeoutMs: 2_000, toolhive: { prefix } };
  const lines: string[] = [];
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const deps = { clock: systemClock(), log, random: systemRandom(), metrics: noStoreMetrics };
  const store = await opened.use(createRedisStore({ config: settings, ...deps }));
  await until("the store's first answer", () => answers(store));
  return { store, log: () => lines.join("") };
}

/** A login, a refresh and a revocation, with all that belongs to them. */
async function useAll(store: TokenStore, prefix: string): Promise<void> {
  const place = newPlace(prefix);
  await store.put(place.key, grantWrite({ version: "v1", subject: "alice" }));
  const lease = { attempt: "a", seen: "v1", leaseMs: 10_000, usableMs: Number.MAX_SAFE_INTEGER };
  expect(await store.acquire(place.key, lease)).toMatchObject({ kind: "acquired" });
  const second = grantWrite({ version: "v2", refresh: "refresh-2", subject: "alice" });
  expect(await store.commit(place.key, "v1", second)).toBe("written");
  expect(await summaryOf(store, place.key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
  expect(await store.list(place.key.session, [])).toEqual(["crm"]);
  expect(await store.revoke(place.key, "tomb")).toBe("v2");
  expect(await store.read(place.key)).toEqual({ kind: "revoked", version: "tomb" });
}

test.each(prefixes)("in a Redis Cluster a row at %s and what we keep of it are in one slot", async (prefix) => {
  const cluster = await opened.use(startCluster());
  const { store, log } = await openAt({ cluster: { nodes: cluster.nodes } }, prefix);
  for (let rows = 0; rows < 20; rows++) {
    const { row, hash } = newPlace(prefix);
    expect(cluster.slotOf(hash)).toBe(cluster.slotOf(row));
    await useAll(store, prefix);
  }
  expect(log()).not.toContain("index_not_written");
});

test.each(prefixes)("a refresh at %s is stored while the row's slot moves", async (prefix) => {
  const cluster = await opened.use(startCluster());
  const { store } = await openAt({ cluster: { nodes: cluster.nodes } }, prefix);
  const place = newPlace(prefix);
  await store.put(place.key, grantWrite({ version: "v1" }));
  const slot = cluster.slotOf(place.row);
  const from = await cluster.ownerOf(slot);
  const to = cluster.nodes.find((node) => node !== from) as RedisServer;
  await cluster.beginMove(slot, to);
  expect(await store.commit(place.key, "v1", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
  expect(await store.revoke(place.key, "tomb")).toBe("v2");
  await cluster.finishMove(slot, to);
  expect(await store.read(place.key)).toEqual({ kind: "revoked", version: "tomb" });
});

test("behind sentinels rows are served on after a failover", async () => {
  const [prefix] = prefixes;
  const servers = await opened.use(startReplicated());
  const { store } = await openAt({ sentinel: { name: servers.name, nodes: servers.sentinels } }, prefix);
  await useAll(store, prefix);
  await servers.failover();
  await until("the new master", async () => (await answers(store)) && (await isWritable(store, prefix)));
  await useAll(store, prefix);
});

function isWritable(store: TokenStore, prefix: string): Promise<boolean> {
  return store.put(newPlace(prefix).key, grantWrite()).then(
    () => true,
    () => false,
  );
}
