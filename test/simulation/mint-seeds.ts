import { expect, test } from "vitest";
import { addTo, createTally, mintMeanings, tableOf } from "./figures.ts";
import { simulateMints } from "./mint-simulation.ts";

/** As `testSeeds`, for the histories of minted tokens. */
export function testMintSeeds(first: number, last: number): void {
  test(`holds every invariant of minted tokens in the histories of seeds ${first} to ${last}`, async () => {
    const tally = createTally();
    for (let seed = first; seed <= last; seed++) {
      const outcome = await simulateMints(seed);
      addTo(tally, outcome);
      if (outcome.violations.length > 0)
        console.log([...outcome.history(), `Replay it alone: npm run simulate -- --minted --seed ${seed}`].join("\n"));
      expect(outcome.violations, `seed ${seed}`).toEqual([]);
    }
    console.log(tableOf(tally, mintMeanings));
    for (const figure of ["calls", "healed", "holds", "failovers", "crashes", "sessionsEnded"] as const)
      expect(tally.figures.get(figure) ?? 0, figure).toBeGreaterThan((last - first + 1) / 2);
  }, 300_000);
}
