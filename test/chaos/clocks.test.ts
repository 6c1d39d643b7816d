import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { newSession, type Replica, startFleet } from "./fleet.ts";
import { checkOnce, expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;
const skewedDate = fileURLToPath(new URL("../support/skewed-date.ts", import.meta.url));
const skewsMs = [0, 120_000, -120_000];

/** What its wall clock showed when it began to listen. */
function startedAt(replica: Replica): number {
  return Date.parse(String(replica.events("listening")[0]?.time));
}

test("replicas whose wall clocks are minutes apart refresh each token in its time, once, and no session ends", async () => {
  const fleet = await startFleet(opened, {
    store: { server: await use(startRedis()) },
    env: (at) => ({ NODE_OPTIONS: `--import ${skewedDate}`, SKEW_MS: String(skewsMs[at]) }),
  });
  const [right, ahead, behind] = fleet.replicas as [Replica, Replica, Replica];
  expect(startedAt(ahead) - startedAt(behind)).toBeGreaterThan(200_000);

  const sessions = [newSession(), newSession(), newSession()];
  for (const [at, session] of sessions.entries())
    await fleet.login(session, { by: [right, ahead, behind][at] as Replica });
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();

  // Two minutes of life: fresh to all of them, wherever it was put.
  const refreshes = fleet.gate.calls.length;
  for (const by of fleet.replicas) {
    const session = newSession();
    await fleet.login(session, { by, expiresIn: 120 });
    for (const replica of fleet.replicas) expect(await checkOnce(replica, session)).toMatchObject({ status: 200 });
  }
  expect(fleet.gate.calls.length).toBe(refreshes);
});
