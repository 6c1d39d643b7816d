import { expect, test } from "vitest";
import { withoutMintFaults } from "./mint-plan.ts";
import { testMintSeeds } from "./mint-seeds.ts";
import { simulateMints } from "./mint-simulation.ts";

testMintSeeds(1, 50);

test("replays a seed of minted tokens to the identical history", async () => {
  const [first, second, third] = [await simulateMints(7), await simulateMints(7), await simulateMints(8)];
  expect(first.history().length).toBeGreaterThan(200);
  expect(second.history()).toEqual(first.history());
  expect(third.history()).not.toEqual(first.history());
});

test("asks once for all replicas where nothing fails, however many sessions share the token", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { violations, figures } = await simulateMints(seed, {
      adapt: (plan) => ({
        ...withoutMintFaults(plan),
        ...{ ofSessions: false, lifeMs: 900_000, api: { endsEarly: 0, forbids: 0 } },
      }),
    });
    expect(violations, `seed ${seed}`).toEqual([]);
    expect(figures.get("calls"), `seed ${seed}`).toBe(1);
  }
}, 60_000);
