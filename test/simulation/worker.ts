import { parentPort, workerData } from "node:worker_threads";
import { simulateMints } from "./mint-simulation.ts";
import { simulate } from "./simulation.ts";

/** Every `step`th seed from `first` to `last`, of grants or of minted tokens: one message for each. */
const { first, last, step, minted } = workerData as { first: number; last: number; step: number; minted: boolean };
for (let seed = first; seed <= last; seed += step) {
  const { violations, figures } = await (minted ? simulateMints(seed) : simulate(seed));
  parentPort?.postMessage({ seed, violations, figures });
}
