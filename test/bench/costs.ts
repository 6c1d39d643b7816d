import { readFileSync } from "node:fs";
import { Redis } from "ioredis";

/** A tick of `/proc/PID/stat` (proc(5)): 100 a second on every Linux that runs Node. */
const tickMs = 10;

/** CPU time that a process has used so far, user and system, ms; as the operating system counts it. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the name in brackets, which may hold anything; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** How many scripts a Redis has run for its clients so far, as it counts them itself. */
export async function scriptCalls(url: string): Promise<number> {
  const redis = new Redis(url);
  try {
    const stats = await redis.info("commandstats");
    return [...stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)].reduce(
      (sum, [, calls]) => sum + Number(calls),
      0,
    );
  } finally {
    redis.disconnect();
  }
}
