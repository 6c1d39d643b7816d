import { expect, test } from "vitest";
import { mutants } from "./mutants.ts";
import { simulate } from "./simulation.ts";

const most = 150;

for (const { name, without, adapt, breaks } of mutants)
  test(`objects within ${most} seeds where this is taken away: ${name}`, async () => {
    const rules = new Set<string>();
    for (let seed = 1; seed <= most && !breaks.some((rule) => rules.has(rule)); seed++) {
      const { violations } = await simulate(seed, adapt === undefined ? { without } : { without, adapt });
      for (const { rule } of violations) rules.add(rule);
    }
    expect(
      breaks.filter((rule) => rules.has(rule)),
      `what was violated: ${[...rules].join(", ")}`,
    ).not.toEqual([]);
  }, 120_000);
