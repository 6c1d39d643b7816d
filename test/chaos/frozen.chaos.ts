import { expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, type Replica, rowOf, startFleet } from "./fleet.ts";
import { expectAlive, startLoad } from "./load.ts";

const opened = resources();
const { use } = opened;

/** A fleet with one session, and a look at that session's row past the fleet. */
async function start({ holdOff = "2s", count = 3 } = {}) {
  const server = await use(startRedis());
  const fleet = await startFleet(opened, { store: { server }, count, config: { refresh: { timeout: "2s", holdOff } } });
  const session = newSession();
  await fleet.login(session);
  const redis = await openClient(opened, server.url);
  const untilAttempt = (number: number) =>
    until(`attempt ${number}`, async () => Number(await redis.hget(rowOf(session), "attempts")) === number, {
      timeoutMs: 40_000,
    });
  return { fleet, load: (replicas: readonly Replica[]) => use(startLoad(replicas, [session])), untilAttempt };
}

test("a replica frozen past its lease after the provider has answered stores the tokens when it goes on, while another one holds off", async () => {
  const { fleet, load: loadOn, untilAttempt } = await start({ holdOff: "10s" });
  const load = await loadOn(fleet.replicas);
  await load.renewed(fleet.replicas);
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  const answer = await held.process();
  replica.serve.child.signal("SIGSTOP");
  answer.deliver();
  await untilAttempt(2);
  replica.serve.child.signal("SIGCONT");
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records, { replica });
  await fleet.expectRedemptions();
});

test("a replica frozen past its lease before the provider got its call finds what another one has stored meanwhile", async () => {
  const { fleet, load: loadOn } = await start();
  const load = await loadOn(fleet.replicas);
  await load.renewed(fleet.replicas);
  const held = await fleet.holdRefresh();
  const replica = fleet.replica(held.sender);
  replica.serve.child.signal("SIGSTOP");
  const next = await fleet.gate.held(({ sender }) => sender !== replica.name);
  (await next.process()).deliver();
  await fleet.quiet();
  replica.serve.child.signal("SIGCONT");
  held.drop();
  fleet.gate.rule({ kind: "forward" });
  await load.renewed(fleet.replicas);
  await load.stop();
  expectAlive(load.records, { replica });
  await fleet.expectRedemptions();
});

test("a replica frozen past its lease between taking it and presenting the token does not present it", async () => {
  const { fleet, load: loadOn, untilAttempt } = await start({ holdOff: "5s", count: 2 });
  const [first, frozen] = fleet.replicas as [Replica, Replica];
  // A first attempt whose end nobody knows makes the next one hold off between lease and presentation.
  fleet.gate.rule({ kind: "cut" });
  const firstLoad = await loadOn([first]);
  await until("an attempt that failed", () => first.events("refresh").length > 0);
  await firstLoad.stop();
  fleet.gate.rule({ kind: "forward" });
  const load = await loadOn([frozen]);
  await untilAttempt(2);
  frozen.serve.child.signal("SIGSTOP");
  const otherLoad = await loadOn([first]);
  await otherLoad.renewed([first]);
  frozen.serve.child.signal("SIGCONT");
  await load.renewed([frozen]);
  await Promise.all([load.stop(), otherLoad.stop()]);
  expectAlive([...firstLoad.records, ...otherLoad.records, ...load.records], { replica: frozen });
  expect(frozen.events("refresh").filter(({ provider }) => provider === "unknown")).toEqual([]);
  await fleet.expectRedemptions();
});
