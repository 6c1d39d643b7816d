import { beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import type { GrantKey } from "../../src/stores/grant.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { grantWrite, newKey, summaryOf } from "./grants.ts";
import { answers } from "./redis-harness.ts";

const opened = resources("file");
let cluster: RedisCluster;
let store: TokenStore;
beforeAll(async () => {
  cluster = await opened.use(startCluster());
  const config = { cluster: { nodes: cluster.nodes }, keyPrefix: "bearerswap:", commandTimeoutMs: 2_000 };
  const log = createLog({ level: "trace", format: "json" }, { write: () => undefined });
  store = await opened.use(
    createRedisStore({ config, clock: systemClock(), log, random: systemRandom(), metrics: noStoreMetrics }),
  );
  await until("the store's first answer", () => answers(store));
});

/** A grant of version v1, whose slot is on its way to another node; the grant itself is where it was. */
async function moving(): Promise<{ key: GrantKey; arrive: () => Promise<void> }> {
  const key = newKey();
  await store.put(key, grantWrite({ version: "v1" }));
  const slot = cluster.slotOf(`bearerswap:{${key.session}}:grant:crm`);
  const from = await cluster.ownerOf(slot);
  const to = cluster.nodes.find((node) => node !== from) as RedisServer;
  await cluster.beginMove(slot, to);
  return { key, arrive: () => cluster.finishMove(slot, to) };
}

test("a refresh is stored while the grant's slot moves", async () => {
  const { key, arrive } = await moving();
  const write = { attempt: "a1", seen: "v1", leaseMs: 10_000, usableMs: 1_000 };
  expect(await store.acquire(key, write)).toMatchObject({ kind: "acquired" });
  expect(await store.commit(key, "v1", grantWrite({ version: "v2", refresh: "refresh-2" }))).toBe("written");
  expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
  await arrive();
  expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2" });
});

test("a login replaces what is there while the slot moves", async () => {
  const { key, arrive } = await moving();
  await store.put(key, grantWrite({ version: "v2" }));
  await arrive();
  expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active" });
});

test("a revocation leaves its tombstone while the slot moves", async () => {
  const { key, arrive } = await moving();
  expect(await store.revoke(key, "tomb")).toBe("v1");
  await arrive();
  expect(await store.read(key)).toEqual({ kind: "revoked", version: "tomb" });
});
