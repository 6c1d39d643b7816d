import type { RefreshReport } from "./refresh.ts";

/** What is aimed at. */
const aims = { cpuMsEach: 0.8, redisCallsEach: 3, bytesEach: 1_536 } as const;

/** For programs: one JSON object. */
export function refreshJson(report: RefreshReport): string {
  const { load, plan } = report;
  return JSON.stringify({
    refreshes: plan.sessions,
    perSecond: Math.round(load.answers / load.seconds),
    cpuMsEach: round(report.cpuMsEach),
    redisCallsEach: round(report.redisCallsEach),
    redisCallsEachAfter: round(report.redisCallsEachAfter),
    cpuMsEachAfter: round(report.cpuMsEachAfter),
    bytesEach: Math.round(report.bytesEach),
  });
}

/** For people: what was measured, each with what it should be. */
export function refreshTable(report: RefreshReport, machine: string): string {
  const { load, plan } = report;
  const afterS = plan.afterMs / 1_000;
  return [
    machine,
    "",
    `${plan.sessions} sessions whose tokens have expired, one Check each, ${plan.inFlight} at a time: ${Math.round(load.answers / load.seconds)} refreshes/s`,
    `CPU of the service: ${round(report.cpuMsEach)} ms a refresh (goal: ≤ ${aims.cpuMsEach}), ${round(report.cpuMsEachAfter)} ms in the ${afterS} s after`,
    `scripts in Redis: ${round(report.redisCallsEach)} a refresh (goal: ${aims.redisCallsEach}), ${round(report.redisCallsEachAfter)} in the ${afterS} s after (goal: 0)`,
    `memory: ${Math.round(report.bytesEach)} bytes a refresh beyond a cached session (goal: ≤ ${aims.bytesEach})`,
    `load generator: ${Math.round(load.cpuShare * 100)} % of one core`,
  ].join("\n");
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
