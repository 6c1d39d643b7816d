import { test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

test("a Redis that pauses while new tokens are to be stored gets them afterwards, and no session ends", async () => {
  const server = await use(startRedis());
  const fleet = await startFleet(opened, { store: { server }, accessTokenLifeSeconds: 3 });
  const sessions = Array.from({ length: 3 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  const redis = await openClient(opened, server.url);
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  const answer = await held.process();
  await redis.call("CLIENT", "PAUSE", "2000", "ALL");
  answer.deliver();
  fleet.gate.rule({ kind: "forward" });
  await until("a commit that fails", () => replica.events("commit_failed").length > 0);
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
