import { Redis } from "ioredis";
import type { RedisServer } from "../support/redis-server.ts";
import { cpuMsOf } from "./costs.ts";

/** What a Redis has used and done so far, as it and the operating system count. */
export interface RedisUsage {
  readonly memoryBytes: number;
  readonly cpuMs: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Scripts that clients sent. */
  readonly scripts: number;
  /** Messages, by scripts too. */
  readonly published: number;
  /** Clients that were too slow for what they were to get, and lost their connection. */
  readonly cutOff: number;
}

/** Asks on a connection that stays, so that asking changes as little as can be. */
export interface UsageProbe {
  usage(): Promise<RedisUsage>;
  /** Bytes that one key takes. */
  keyBytes(key: string): Promise<number>;
  /** Some keys that match. */
  keys(pattern: string): Promise<readonly string[]>;
  close(): void;
}

/** Keys looked at in a search. */
const lookedAt = 2_000;

export function probeRedis({ url, pid }: Pick<RedisServer, "url" | "pid">): UsageProbe {
  const redis = new Redis(url);
  return {
    async usage() {
      const [memory, stats, commands] = await Promise.all(
        ["memory", "stats", "commandstats"].map((section) => redis.info(section)),
      );
      return {
        memoryBytes: numberIn(memory, "used_memory:"),
        cpuMs: cpuMsOf(pid),
        inputBytes: numberIn(stats, "total_net_input_bytes:"),
        outputBytes: numberIn(stats, "total_net_output_bytes:"),
        scripts: callsIn(commands, "eval") + callsIn(commands, "evalsha"),
        published: callsIn(commands, "publish") + callsIn(commands, "spublish"),
        cutOff: numberIn(stats, "client_output_buffer_limit_disconnections:"),
      };
    },
    keyBytes: async (key) => (await redis.memory("USAGE", key)) ?? 0,
    keys: async (pattern) => (await redis.scan(0, "MATCH", pattern, "COUNT", lookedAt))[1],
    close: () => redis.disconnect(),
  };
}

/** What was used between two looks; of memory, by how much it grew. */
export function usedBetween(before: RedisUsage, after: RedisUsage): RedisUsage {
  return {
    memoryBytes: after.memoryBytes - before.memoryBytes,
    cpuMs: after.cpuMs - before.cpuMs,
    inputBytes: after.inputBytes - before.inputBytes,
    outputBytes: after.outputBytes - before.outputBytes,
    scripts: after.scripts - before.scripts,
    published: after.published - before.published,
    cutOff: after.cutOff - before.cutOff,
  };
}

/** The number of a line of INFO. */
function numberIn(info: string | undefined, start: string): number {
  return Number(new RegExp(`^${start}(\\d+)`, "m").exec(info ?? "")?.[1] ?? 0);
}

function callsIn(commandStats: string | undefined, command: string): number {
  return numberIn(commandStats, `cmdstat_${command}:calls=`);
}
