import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, type Replica, startFleet } from "./fleet.ts";
import { checkOnce, expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

/** A fleet under load with one session whose tokens live 3 seconds, and another whose token outlives the test. */
async function start() {
  const server = await use(startRedis({ hostNetwork: true }));
  const fleet = await startFleet(opened, { store: { server }, accessTokenLifeSeconds: 3 });
  const [refreshed, kept] = [newSession(), newSession()];
  await fleet.login(refreshed);
  await fleet.login(kept, { expiresIn: 3_600 });
  const load = await use(startLoad(fleet.replicas, [refreshed]));
  for (const replica of fleet.replicas) expect(await checkOnce(replica, kept)).toMatchObject({ status: 200 });
  return { fleet, load, kept, redis: await openClient(opened, server.url) };
}

/** Ends the grant by way of one replica, and waits until all of them know. */
async function revokeEverywhere(replicas: readonly Replica[], session: string): Promise<void> {
  await replicas[0]?.admin.revoke({ session: { source: "", id: session }, upstream: "crm", keepUpstream: true });
  for (const replica of replicas)
    await until(`${replica.name} to know`, async () => (await checkOnce(replica, session)).reason === "grant_missing");
}

/** The ports from which Redis sees subscriptions come. */
async function subscriptions(redis: Redis): Promise<number[]> {
  const list = String(await redis.call("CLIENT", "LIST", "TYPE", "pubsub"));
  return [...list.matchAll(/ addr=127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
}

test("subscriptions that are cut again and again cost no session, no second redemption, and hide no revocation", async () => {
  const { fleet, load, kept, redis } = await start();
  await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
  await load.renewed(fleet.replicas);
  // At once: the word of it finds nobody subscribed.
  await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
  await revokeEverywhere(fleet.replicas, kept);
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});

test("a subscription that is half-open costs no session, no second redemption, and hides no revocation", async () => {
  const { fleet, load, kept, redis } = await start();
  const ports = await subscriptions(redis);
  const deaf = fleet.replicas.at(-1) as Replica;
  expect(deaf.line?.freeze(ports)).toBe(1);
  await revokeEverywhere(fleet.replicas, kept);
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
