import { expect, test } from "vitest";
import type { Clock } from "../../src/platform/clock.ts";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { startWorld } from "./world.ts";

const opened = resources();
const year = 365 * 86_400_000;

/** A clock whose wall time is set by hand, as an operator or NTP does, while its monotonic time runs on. */
function wallClock(): ManualClock & { setWall(ms: number): void } {
  const clock = manualClock();
  let wall: number | undefined;
  return {
    wallMs: () => wall ?? clock.wallMs(),
    monotonicMs: clock.monotonicMs,
    after: clock.after,
    advance: clock.advance,
    get pending() {
      return clock.pending;
    },
    setWall: (ms) => {
      wall = ms;
    },
  };
}

const jumps = [
  ["a year ahead", (clock: Clock) => clock.wallMs() + year],
  ["a year back", (clock: Clock) => clock.wallMs() - year],
  ["to the epoch", () => 0],
  ["to nowhere", () => Number.NaN],
] as const;

test.each(jumps)(
  "a wall clock that jumps %s decides nothing: neither freshness, nor back-off, nor a grant's life",
  async (_, target) => {
    const clock = wallClock();
    const world = await startWorld(opened, { clock, store: createMemoryStore({ clock, maxGrants: 10 }) });
    await world.login();
    expect(await world.fresh()).toBe("access-1");
    clock.setWall(target(clock));
    expect([world.cached(), await world.fresh(), await world.replica().fresh()]).toEqual([
      "access-1",
      "access-1",
      "access-1",
    ]);
    await clock.advance(3_539_999);
    expect([world.cached(), await world.fresh()]).toEqual(["access-1", "access-1"]);
    await world.tokens.settled();
    expect(world.endpoint.calls).toBe(0);
    await clock.advance(60_001);
    expect(await world.fresh()).toBe("access-2");
    expect(world.endpoint.calls).toBe(1);
  },
);

test.each(jumps)("nor does one that jumps %s while a refresh is under way", async (_, target) => {
  const clock = wallClock();
  const world = await startWorld(opened, { clock });
  await world.login("alice", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const [patient, hasty] = [world.fresh(), world.fresh({ waitMs: 3_000 })];
  await gate.arrived();
  clock.setWall(target(clock));
  await clock.advance(3_000);
  expect(await hasty).toBe("unavailable: deadline");
  gate.release();
  expect(await patient).toBe("access-2");
  await clock.advance(3_500_000);
  expect(world.cached()).toBe("access-2");
  await clock.advance(3_600_000);
  expect(await world.fresh()).toBe("access-3");
});
