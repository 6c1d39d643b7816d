import type { StormReport } from "./storm.ts";

/** What is added to queueing and to the provider's own time, ms. */
const allowanceMs = 50;

/** For programs: one JSON object. */
export function stormJson(report: StormReport): string {
  const { plan, load, provider } = report;
  return JSON.stringify({
    sessions: plan.sessions,
    redemptions: provider.redemptions,
    ok: load.answers - load.failures,
    limit: limitOf(report),
    waiterP99Ms: Math.round(load.p99Ms),
    providerP99Ms: Math.round(provider.p99Ms),
    providerMeanMs: Math.round(provider.meanMs),
  });
}

/** For people: what was counted and measured, each with what it should be. */
export function stormTable(report: StormReport, machine: string): string {
  const { plan, load, provider } = report;
  const queueingMs = (plan.sessions / limitOf(report)) * provider.meanMs;
  const aimMs = queueingMs + provider.p99Ms + allowanceMs;
  const checks = plan.sessions * plan.checksPerSession;
  return [
    machine,
    "",
    `${plan.sessions} sessions expire together, ${plan.checksPerSession} Checks each over ${plan.replicas} replicas, all at once`,
    `redemptions: ${provider.redemptions} (goal: ${plan.sessions}), of a token that was redeemed before: ${provider.repeated} (goal: 0)`,
    `Checks let through: ${load.answers - load.failures} (goal: ${checks})`,
    `refreshes at the provider at the same time: ${provider.mostAtOnce} at most (limit: ${limitOf(report)})`,
    `provider: ${provider.meanMs.toFixed(0)} ms on average, p99 ${provider.p99Ms.toFixed(0)} ms`,
    `Checks: p50 ${load.p50Ms.toFixed(0)} ms, p99 ${load.p99Ms.toFixed(0)} ms (goal: ≤ ${aimMs.toFixed(0)} = ${queueingMs.toFixed(0)} queueing at the limit + ${provider.p99Ms.toFixed(0)} + ${allowanceMs})`,
    `all answered after ${load.seconds.toFixed(2)} s; load generator: ${Math.round(load.cpuShare * 100)} % of one core`,
  ].join("\n");
}

/**
 * What makes a run worthless, whatever its speed: a token redeemed twice or not at all, a Check sent back, a provider
 * asked too much.
 */
export function stormFailure(report: StormReport): string | undefined {
  const { plan, load, provider } = report;
  if (provider.redemptions !== plan.sessions || provider.repeated > 0)
    return `${provider.redemptions} redemptions, ${provider.repeated} of them repeated`;
  if (load.failures > 0 || load.answers !== plan.sessions * plan.checksPerSession)
    return `${load.failures} of ${load.answers} Checks were not let through`;
  if (provider.mostAtOnce > limitOf(report))
    return `${provider.mostAtOnce} refreshes were at the provider at the same time`;
  return undefined;
}

function limitOf({ plan }: StormReport): number {
  return plan.refreshesPerReplica * plan.replicas;
}
