import { expect, test } from "vitest";
import { mintMutants } from "./mint-mutants.ts";
import { simulateMints } from "./mint-simulation.ts";

const most = 100;

for (const { name, without, adapt, breaks } of mintMutants)
  test(`objects within ${most} seeds where this is taken from the minter: ${name}`, async () => {
    const rules = new Set<string>();
    for (let seed = 1; seed <= most && !breaks.some((rule) => rules.has(rule)); seed++) {
      const { violations } = await simulateMints(seed, adapt === undefined ? { without } : { without, adapt });
      for (const { rule } of violations) rules.add(rule);
    }
    expect(
      breaks.filter((rule) => rules.has(rule)),
      `what was violated: ${[...rules].join(", ")}`,
    ).not.toEqual([]);
  }, 120_000);

test("objects to none of their plans where nothing is taken away", async () => {
  for (const { name, adapt } of mintMutants)
    for (let seed = 1; seed <= 5; seed++) {
      const { violations } = await simulateMints(seed, adapt === undefined ? {} : { adapt });
      expect(violations, `${name}, seed ${seed}`).toEqual([]);
    }
}, 120_000);
