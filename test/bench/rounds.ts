import type { LoadResult } from "./load-generator.ts";
import type { LoadProcess } from "./load-process.ts";

export interface RoundsPlan {
  readonly rounds: number;
  readonly roundMs: number;
  /**
   * Unmeasured load on each server before: V8 takes seconds to compile all of its code, and half compiled the echo
   * server would look slow.
   */
  readonly warmUpMs: number;
}

/** Medians over the rounds. */
export interface Measured {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /**
   * The median of the rounds' ratios, not the ratio of medians: what slows a machine down for seconds slows both sides
   * of a round.
   */
  readonly ratioToEcho: number;
  /** The busiest the generator was, as a part of one core: well under 1, it was not the limit. */
  readonly generatorCpu: number;
}

/**
 * Loads each server in turn, a short time each, round after round and every other round backwards.
 * @param names what is measured side by side; the first one is what the others are compared with
 */
export async function measureRounds(
  load: LoadProcess,
  names: readonly string[],
  { rounds, roundMs, warmUpMs }: RoundsPlan,
  progress: (line: string) => void,
): Promise<Measured[]> {
  const results = new Map<string, LoadResult[]>(names.map((name) => [name, []]));
  for (const name of names) await load.run(name, { durationMs: warmUpMs });
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : [...names].reverse())
      results.get(name)?.push(await load.run(name, { durationMs: roundMs }));
    if ((round + 1) % 10 === 0) progress(`${round + 1} of ${rounds} rounds with ${names.join(", ")}`);
  }
  const echo = results.get(names[0] ?? "") ?? [];
  return names.map((name) => summary(name, results.get(name) ?? [], echo));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

function summary(name: string, results: readonly LoadResult[], echo: readonly LoadResult[]): Measured {
  return {
    name,
    requestsPerSecond: median(results.map(rate)),
    p50Ms: median(results.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(results.map(({ p99Ms }) => p99Ms)),
    ratioToEcho: median(results.map((result, round) => rate(result) / rate(echo[round]))),
    generatorCpu: Math.max(...results.map(({ cpuShare }) => cpuShare)),
  };
}

function rate(result: LoadResult | undefined): number {
  return result === undefined ? Number.NaN : result.answers / result.seconds;
}
