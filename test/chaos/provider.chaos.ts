import { expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import type { GateRule } from "../support/token-gate.ts";
import { until } from "../support/until.ts";
import { newSession, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

async function start(count: number) {
  const fleet = await startFleet(opened, { store: { server: await use(startRedis()) } });
  const sessions = Array.from({ length: count }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);
  return { fleet, sessions, load };
}

/** The shortest time between two calls with the same refresh token, ms. */
function shortestPause(calls: readonly { readonly token: string; readonly at: number }[]): number {
  const tries = Object.values(Object.groupBy(calls, ({ token }) => token));
  return Math.min(
    ...tries.flatMap((list = []) => list.slice(1).map(({ at }, earlier) => at - (list[earlier]?.at ?? 0))),
  );
}

const faults: readonly (readonly [string, GateRule])[] = [
  ["answers 500", { kind: "answer", status: 500 }],
  ["takes the request and closes the connection", { kind: "cut" }],
];

for (const [what, rule] of faults)
  test(`a provider that ${what} may have used the token: it is asked again after five seconds, by one replica, and no session ends`, async () => {
    const { fleet, sessions, load } = await start(4);
    fleet.gate.rule(rule);
    const before = fleet.gate.calls.length;
    await until("two tries for each session", () => fleet.gate.calls.length >= before + 2 * sessions.length, {
      timeoutMs: 40_000,
    });
    fleet.gate.rule({ kind: "forward" });
    await load.renewed(fleet.replicas);
    await load.stop();
    expectAlive(load.records);
    await fleet.expectRedemptions();
    expect(shortestPause(fleet.gate.calls.slice(before))).toBeGreaterThanOrEqual(5_000);
  });

test("a provider that takes the request and never answers holds the session up for a minute at most, and no session ends", async () => {
  // One session: the call of another would be let go on just when its replica gives up as well.
  const { fleet, load } = await start(1);
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  await until("the replica to give up", () => replica.events("refresh").some(({ reason }) => reason === "timeout"), {
    timeoutMs: 90_000,
  });
  await held.abandoned;
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
});
