import { expect, test } from "vitest";
import { addTo, createTally, tableOf } from "./figures.ts";
import { simulate } from "./simulation.ts";

/** Simulates seeds `first` to `last`, and holds what was seen to the invariants; a failing seed prints its history. */
export function testSeeds(first: number, last: number): void {
  test(`holds every invariant in the histories of seeds ${first} to ${last}`, async () => {
    const tally = createTally();
    for (let seed = first; seed <= last; seed++) {
      const outcome = await simulate(seed);
      addTo(tally, outcome);
      if (outcome.violations.length > 0)
        console.log([...outcome.history(), `Replay it alone: npm run simulate -- --seed ${seed}`].join("\n"));
      expect(outcome.violations, `seed ${seed}`).toEqual([]);
    }
    console.log(tableOf(tally));
    const count = (figure: "presentations" | "frozenDispatches" | "overtaken") => tally.figures.get(figure) ?? 0;
    expect(count("presentations")).toBeGreaterThan(10 * (last - first));
    expect(count("frozenDispatches") + count("overtaken")).toBeLessThan(count("presentations") / 50);
  }, 300_000);
}
