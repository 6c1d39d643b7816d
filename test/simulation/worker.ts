import { parentPort, workerData } from "node:worker_threads";
import { simulate } from "./simulation.ts";

/** Every `step`th seed from `first` to `last`: one message for each. */
const { first, last, step } = workerData as { first: number; last: number; step: number };
for (let seed = first; seed <= last; seed += step) {
  const { violations, figures } = await simulate(seed);
  parentPort?.postMessage({ seed, violations, figures });
}
