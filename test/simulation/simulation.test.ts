import { expect, test } from "vitest";
import { withoutFaults } from "./plan.ts";
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
