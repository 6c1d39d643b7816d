import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { trackedResources } from "../support/tracked-resources.ts";
import { type BenchPlan, runBench } from "./bench.ts";
import { type RefreshPlan, runRefreshes } from "./refresh.ts";
import { refreshJson, refreshTable } from "./refresh-report.ts";
import { jsonReport, tableReport } from "./report.ts";
import { runScale, scalePlan } from "./scale.ts";
import { scaleJson, scaleTable } from "./scale-report.ts";
import { runStorm, type StormPlan } from "./storm.ts";
import { stormFailure, stormJson, stormTable } from "./storm-report.ts";

const full: BenchPlan = {
  hotSessions: 10_000,
  coldSessions: 10_000,
  memorySessions: 12_000,
  rounds: 80,
  roundMs: 250,
  warmUpMs: 6_000,
};
const quick: BenchPlan = {
  ...full,
  coldSessions: 1_000,
  memorySessions: 3_000,
  rounds: 14,
  roundMs: 150,
  warmUpMs: 2_500,
};
const storm: StormPlan = {
  sessions: 1_000,
  checksPerSession: 20,
  replicas: 3,
  providerMs: 600,
  refreshesPerReplica: 32,
};

const refreshes: RefreshPlan = { sessions: 5_000, inFlight: 128, afterMs: 65_000, refreshTokenLength: 500 };

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    storm: { type: "boolean", default: false },
    refresh: { type: "boolean", default: false },
    scale: { type: "boolean", default: false },
    grants: { type: "string", default: "200000" },
    replicas: { type: "string", default: "16" },
    "provider-ms": { type: "string", default: String(storm.providerMs) },
  },
});
const providerMs = Number(values["provider-ms"]);
if (!(providerMs > 0))
  throw new Error(`--provider-ms ${values["provider-ms"]}: must be a number of milliseconds above 0`);
const [grants, replicas] = [wholeNumber("grants"), wholeNumber("replicas")];
const cores = availableParallelism();
const machine = `${cores} cores, ${cpus()[0]?.model}, Node ${process.version}`;
const progress = (line: string) => console.error(line);
const resources = trackedResources();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1)); // its children end with it

try {
  if (values.storm) {
    const report = await runStorm({ plan: { ...storm, providerMs }, resources, progress });
    console.log(values.json ? stormJson(report) : stormTable(report, machine));
    const failure = stormFailure(report);
    if (failure !== undefined) throw new Error(`the storm did harm: ${failure}`);
  } else if (values.refresh) {
    const report = await runRefreshes({ plan: refreshes, resources, progress });
    console.log(values.json ? refreshJson(report) : refreshTable(report, machine));
  } else if (values.scale) {
    const report = await runScale({ plan: scalePlan({ grants, replicas }), resources, progress });
    console.log(values.json ? scaleJson(report) : scaleTable(report, machine));
  } else {
    const report = await runBench({ plan: values.quick ? quick : full, resources, progress });
    console.log(values.json ? jsonReport(report, cores) : tableReport(report, machine));
  }
} finally {
  await resources.stopAll();
}

function wholeNumber(option: "grants" | "replicas"): number {
  const number = Number(values[option]);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${option} ${values[option]}: must be a whole number above 0`);
  return number;
}
