import { expect, test } from "vitest";
import { mintMutants } from "./mint-mutants.ts";
import { simulateMints } from "./mint-simulation.ts";
import { testMutants } from "./mutant-tests.ts";

testMutants(mintMutants, 100, simulateMints);

test("objects to none of their plans where nothing is taken away", async () => {
  for (const { name, adapt } of mintMutants)
    for (let seed = 1; seed <= 5; seed++) {
      const { violations } = await simulateMints(seed, adapt === undefined ? {} : { adapt });
      expect(violations, `${name}, seed ${seed}`).toEqual([]);
    }
}, 120_000);
