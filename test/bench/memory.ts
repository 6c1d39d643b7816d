import type { LoadProcess } from "./load-process.ts";
import { checkRequests } from "./requests.ts";
import type { BearerswapProcess } from "./servers.ts";
import { accessTokenLength, type BenchSession, bearersOf } from "./sessions.ts";
import { checkTarget } from "./targets.ts";

export interface MemoryResult {
  readonly sessions: number;
  /** What one cached session takes beyond the lengths of its JWT and of its access token. */
  readonly bytesPerSession: number;
}

export interface MemoryOptions {
  /** Started `measurable` and with its grants in Redis already, so that nothing grows or shrinks but what is cached. */
  readonly service: BearerswapProcess;
  readonly load: LoadProcess;
  readonly sessions: readonly BenchSession[];
}

/**
 * The sessions come in this many parts. The first is not counted: with it everything is loaded and compiled that will
 * be.
 */
const parts = 6;
/** Requests for each session of a part: the first one fills the caches, the second one finds them filled. */
const passes = 2;

/**
 * Bytes in use, part by part of the sessions. What V8 drops or grows once in a while shows in one part, so the extremes
 * are left out.
 */
export async function measureMemory({ service, load, sessions }: MemoryOptions): Promise<MemoryResult> {
  const size = Math.floor(sessions.length / parts);
  const inUse: number[] = [];
  for (let part = 0; part < parts; part += 1) {
    const requests = checkRequests(bearersOf(sessions.slice(part * size, (part + 1) * size)));
    await load.open("memory", checkTarget(service.port, requests));
    for (let pass = 0; pass < passes; pass += 1) await load.run("memory", { requests: size });
    await load.close("memory");
    inUse.push(await service.bytesInUse());
  }
  const growth = inUse.slice(1).map((bytes, part) => (bytes - (inUse[part] ?? bytes)) / size);
  const jwtLength = mean(bearersOf(sessions).map(({ length }) => length));
  return {
    sessions: size * (parts - 1),
    bytesPerSession: Math.round(meanWithoutExtremes(growth) - jwtLength - accessTokenLength),
  };
}

function meanWithoutExtremes(values: readonly number[]): number {
  return mean([...values].sort((a, b) => a - b).slice(1, -1));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
