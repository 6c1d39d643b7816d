import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { trackedResources } from "../support/tracked-resources.ts";
import { type BenchPlan, runBench } from "./bench.ts";
import { jsonReport, tableReport } from "./report.ts";

const full: BenchPlan = { hotSessions: 10_000, coldSessions: 10_000, memorySessions: 12_000, rounds: 80, roundMs: 250, warmUpMs: 6_000 };
const quick: BenchPlan = { ...full, coldSessions: 1_000, memorySessions: 3_000, rounds: 14, roundMs: 150, warmUpMs: 2_500 };

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false }, json: { type: "boolean", default: false } } });
const cores = availableParallelism();
const resources = trackedResources();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1)); // its children end with it

try {
  const report = await runBench({ plan: values.quick ? quick : full, resources, progress: (line) => console.error(line) });
  console.log(values.json ? jsonReport(report, cores) : tableReport(report, `${cores} cores, ${cpus()[0]?.model}, Node ${process.version}`));
} finally {
  await resources.stopAll();
}
