import type { BenchReport } from "./bench.ts";
import { aligned } from "./table.ts";

/** What the design promises: the least ratio to the echo server on the same path, and the most memory. */
const goals: Readonly<Record<string, number>> = { "hot-direct": 0.8, "hot-envoy": 0.85, "heal-envoy": 0.95 };
const maxBytesPerSession = 2_048;

/** For programs: one JSON object. */
export function jsonReport({ results, memory, roundTripsPerColdRead }: BenchReport, cores: number): string {
  const rows = results.map(({ name, requestsPerSecond, p50Ms, p99Ms, ratioToEcho }) => ({
    name,
    requestsPerSecond: Math.round(requestsPerSecond),
    p50Ms: rounded(p50Ms, 2),
    p99Ms: rounded(p99Ms, 2),
    ratioToEcho: rounded(ratioToEcho, 3),
  }));
  return JSON.stringify({ cores, results: rows, memory, roundTripsPerColdRead: rounded(roundTripsPerColdRead, 3) });
}

/** For people: a table, and a line for each of the other figures. */
export function tableReport({ results, memory, roundTripsPerColdRead }: BenchReport, machine: string): string {
  const header = ["", "requests/s", "p50 ms", "p99 ms", "ratio to echo", "goal"];
  const rows = results.map(({ name, requestsPerSecond, p50Ms, p99Ms, ratioToEcho }) => [
    name,
    String(Math.round(requestsPerSecond)),
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    ratioToEcho.toFixed(2),
    goals[name] === undefined ? "" : `≥ ${goals[name].toFixed(2)}`,
  ]);
  const busiest = Math.max(...results.map(({ generatorCpu }) => generatorCpu));
  return [
    machine,
    "",
    ...aligned([header, ...rows]),
    "",
    `memory: ${memory.bytesPerSession} bytes for a cached session beyond its JWT and its access token, over ${memory.sessions} sessions (goal: ≤ ${maxBytesPerSession})`,
    `Redis: ${roundTripsPerColdRead.toFixed(3)} round trips for a cold read (goal: 1)`,
    `load generator: at most ${Math.round(busiest * 100)} % of one core`,
  ].join("\n");
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
