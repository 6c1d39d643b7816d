import { expect, test } from "vitest";
import { type Plan, withoutFaults } from "./plan.ts";
import { simulate } from "./simulation.ts";

test("replays a seed to the identical history", async () => {
  const first = await simulate(7);
  const second = await simulate(7);
  expect(first.history().length).toBeGreaterThan(500);
  expect(second.history()).toEqual(first.history());
  expect((await simulate(8)).history()).not.toEqual(first.history());
});

test("presents each refresh token once where nothing fails", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { violations, figures } = await simulate(seed, {
      adapt: (plan) => withoutFaults({ ...plan, provider: { ...plan.provider, rotates: true } }),
    });
    expect(violations, `seed ${seed}`).toEqual([]);
    expect([figures.get("presentations"), figures.get("presentedAgain")], `seed ${seed}`).toEqual([
      expect.any(Number),
      undefined,
    ]);
  }
}, 60_000);

/** One login on two replicas, short tokens, a provider that forgives nothing; nobody interferes. */
const strict = (plan: Plan): Plan => ({
  ...withoutFaults(plan),
  replicas: 2,
  sessions: 1,
  troubledMs: 12_000,
  provider: { ...withoutFaults(plan).provider, accessLifeMs: 5_000, rotates: true, graceMs: 0, punishesReuse: true },
  work: { checkEveryMs: 400, putEveryMs: Number.POSITIVE_INFINITY, revokeEveryMs: Number.POSITIVE_INFINITY },
});

test("holds every invariant wherever a process crashes: at each step of two replicas that refresh, one after another", async () => {
  for (let crashAt = 1; ; crashAt++) {
    let steps = 0;
    const { violations, figures } = await simulate(3, {
      adapt: strict,
      crashChance: () => (++steps === crashAt ? 1 : 0),
    });
    expect(violations, `crash at step ${crashAt}`).toEqual([]);
    if (figures.get("crashes") === undefined) {
      expect(crashAt).toBeGreaterThan(150);
      break;
    }
  }
}, 120_000);
