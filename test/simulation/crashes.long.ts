import { expect, test } from "vitest";
import { type Plan, withoutFaults } from "./plan.ts";
import { simulate } from "./simulation.ts";

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
