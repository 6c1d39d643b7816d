import { expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { type Fleet, type FleetOptions, newSession, type Replica, startFleet } from "./fleet.ts";
import { expectAlive, type Load, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

interface Running {
  readonly fleet: Fleet;
  readonly load: Load;
}

/** A fleet with four sessions under load. */
async function start(options: Partial<FleetOptions> = {}): Promise<Running> {
  const fleet = await startFleet(opened, { store: { server: await use(startRedis()) }, ...options });
  const sessions = Array.from({ length: 4 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);
  return { fleet, load };
}

async function kill({ serve }: Replica): Promise<void> {
  await serve.child.stop("SIGKILL");
}

function others({ replicas }: Fleet, gone: Replica): Replica[] {
  return replicas.filter((replica) => replica !== gone);
}

/** Waits for the one session that has to log in again, and lets it. */
async function logInAgain({ fleet, load }: Running): Promise<string> {
  const { session } = await load.answered(401);
  await fleet.login(session);
  return session;
}

test("a replica killed before the provider got its call costs no session: another one refreshes once the lease is over", async () => {
  const { fleet, load } = await start();
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  await kill(replica);
  await held.abandoned;
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(others(fleet, replica));
  await load.stop();
  expectAlive(load.records, { replica });
  await fleet.expectRedemptions();
});

test("a replica killed after the provider has processed its call costs that session one login, and no other", async () => {
  const { fleet, load } = await start();
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  expect((await held.process()).status).toBe(200);
  await kill(replica);
  fleet.gate.rule({ kind: "forward" });
  const session = await logInAgain({ fleet, load });
  await load.renewed(others(fleet, replica));
  await load.stop();
  expectAlive(load.records, { replica, session });
  await fleet.expectRedemptions({ lost: 1, refused: 1 });
});

test("a replica killed between the provider's answer and the commit costs that session one login, and no other", async () => {
  const { fleet, load } = await start();
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  const answer = await held.process();
  replica.line?.freeze();
  answer.deliver();
  await until("a commit that fails", () => replica.events("commit_failed").length > 0);
  await kill(replica);
  fleet.gate.rule({ kind: "forward" });
  const session = await logInAgain({ fleet, load });
  await load.renewed(others(fleet, replica));
  await load.stop();
  expectAlive(load.records, { replica, session });
  await fleet.expectRedemptions({ lost: 1, refused: 1 });
});

test("at a provider with a grace for used refresh tokens, a kill after it has processed the call costs no session", async () => {
  const { fleet, load } = await start({ reuseGraceMs: 60_000, upstream: { grace: "60s" } });
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  expect((await held.process()).status).toBe(200);
  await kill(replica);
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(others(fleet, replica));
  await load.stop();
  expectAlive(load.records, { replica });
  await fleet.expectRedemptions({ lost: 1 });
});
