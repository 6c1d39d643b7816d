import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { addTo, createTally, mintMeanings, type Tally, tableOf } from "./figures.ts";
import { timeOf } from "./history.ts";
import { simulateMints } from "./mint-simulation.ts";
import { simulate } from "./simulation.ts";

/**
 * `npm run simulate -- --seeds N` for seeds 1 to N (default 20,000), `-- --seed S` for the whole history of one.
 * With `-- --minted` those of minted tokens.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20000" },
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    minted: { type: "boolean", default: false },
  },
});
const { minted } = values;
const failed =
  values.seed === undefined
    ? await runMany(wholeNumber(values.from, "from"), wholeNumber(values.seeds, "seeds"))
    : await replay(wholeNumber(values.seed, "seed"));
process.exitCode = failed ? 1 : 0;

async function replay(seed: number): Promise<boolean> {
  const outcome = await (minted ? simulateMints(seed) : simulate(seed));
  const tally = createTally();
  addTo(tally, outcome);
  console.log([...outcome.history(), "", table(tally), ""].join("\n"));
  for (const { at, rule, text } of outcome.violations) console.log(`${timeOf(at)} ${rule}: ${text}`);
  return outcome.violations.length > 0;
}

async function runMany(from: number, seeds: number): Promise<boolean> {
  const began = performance.now();
  const tally = createTally();
  const workers = availableParallelism();
  await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      runShare({ first: from + index, last: from + seeds - 1, step: workers, minted }, tally),
    ),
  );
  console.log(`${table(tally)}\n\n${Math.round((performance.now() - began) / 1_000)} s`);
  for (const { seed, violations } of tally.failing.slice(0, 50))
    console.log(`seed ${seed}: ${violations[0]?.rule}: ${violations[0]?.text}`);
  const first = tally.failing.map(({ seed }) => seed).sort((a, b) => a - b)[0];
  if (first !== undefined) await replay(first);
  return first !== undefined;
}

function runShare(
  workerData: { first: number; last: number; step: number; minted: boolean },
  tally: Tally,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData });
    worker.on("message", (outcome) => {
      addTo(tally, outcome);
      for (const { rule, text } of outcome.violations.slice(0, 1))
        console.error(`seed ${outcome.seed}: ${rule}: ${text}`);
      if (tally.seeds % 1_000 === 0) console.error(`${tally.seeds} seeds, ${tally.failing.length} with a violation`);
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve());
  });
}

function table(tally: Tally): string {
  return minted ? tableOf(tally, mintMeanings) : tableOf(tally);
}

function wholeNumber(value: string, option: string): number {
  if (!/^\d+$/.test(value)) throw new Error(`--${option} ${value}: give a whole number`);
  return Number(value);
}
