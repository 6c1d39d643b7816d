import { expect, test } from "vitest";
import { startCluster } from "../support/redis-cluster.ts";
import { redisCommand } from "../support/redis-command.ts";
import { resources } from "../support/resources.ts";
import { commandTimeoutMs, newSession, rowOf, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

test("slots that move to another node of a Redis Cluster under load end no session, and cost no second redemption", async () => {
  const cluster = await use(startCluster());
  const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
  const fleet = await startFleet(opened, {
    store: { config: { redis: { cluster: { nodes }, commandTimeout: `${commandTimeoutMs}ms` } } },
  });
  const sessions = Array.from({ length: 4 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);

  const target = await cluster.join();
  const slots = sessions.map((session) => cluster.slotOf(rowOf(session)));
  for (const slot of slots) await cluster.beginMove(slot, target);
  await load.renewed(fleet.replicas);
  for (const slot of slots) await cluster.finishMove(slot, target);
  await load.renewed(fleet.replicas);
  await load.stop();
  for (const session of sessions) expect(await redisCommand(target, "HGET", rowOf(session), "state")).toBe("active");
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
