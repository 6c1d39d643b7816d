import { expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

test("a provider that answers 429 is left alone for as long as it says, by all replicas together, and no session ends", async () => {
  const fleet = await startFleet(opened, { store: { server: await use(startRedis()) }, accessTokenLifeSeconds: 3 });
  const sessions = Array.from({ length: 4 }, newSession);
  for (const session of sessions) await fleet.login(session);
  const load = await use(startLoad(fleet.replicas, sessions));
  await load.renewed(fleet.replicas);

  fleet.gate.rule({ kind: "answer", status: 429, headers: { "retry-after": "2" } });
  const before = fleet.gate.calls.length;
  await until("two tries for each session", () => fleet.gate.calls.length >= before + 2 * sessions.length, {
    timeoutMs: 20_000,
  });
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();

  const tries = Object.values(Object.groupBy(fleet.gate.calls.slice(before), ({ token }) => token));
  const pauses = tries.flatMap((calls = []) => calls.slice(1).map(({ at }, earlier) => at - (calls[earlier]?.at ?? 0)));
  expect(pauses.length).toBeGreaterThanOrEqual(sessions.length);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2_000);
});

test("a provider that answers later than anybody waits is called once, and its answer is stored and used", async () => {
  const fleet = await startFleet(opened, { store: { server: await use(startRedis()) }, accessTokenLifeSeconds: 60 });
  const session = newSession();
  await fleet.login(session, { expiresIn: 2 });
  const load = await use(startLoad(fleet.replicas, [session]));
  const held = await fleet.holdRefresh();
  const late = await held.process();
  const replica = fleet.replica(held.sender);
  // Those who waited for the call itself have given up then, and the next ones are told to come back as well.
  await until(
    "refusals to wait",
    () => load.records.filter((record) => record.status === 503 && record.replica === replica.name).length > 20,
    {
      timeoutMs: 20_000,
    },
  );
  late.deliver();
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records);
  await fleet.expectRedemptions();
  expect(fleet.gate.calls).toHaveLength(1);
});
