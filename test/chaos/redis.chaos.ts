import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

test("a Redis with persistence, killed and started again while new tokens are to be stored, gets them afterwards, and no session ends", async () => {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-aof-"));
  opened.onStop(() => rm(dir, { recursive: true, force: true }));
  const persistent = { dir, args: ["--appendonly", "yes", "--appendfsync", "always"] };
  const server = await use(startRedis(persistent));
  const fleet = await startFleet(opened, { store: { server } });
  const sessions = Array.from({ length: 4 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  const answer = await held.process();
  await server.kill("SIGKILL");
  answer.deliver();
  fleet.gate.rule({ kind: "forward" });
  await until("a commit that fails", () => replica.events("commit_failed").length > 0);
  await load.answered(503);
  await use(startRedis({ ...persistent, port: server.port }));
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
