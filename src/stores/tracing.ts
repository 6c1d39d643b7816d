import type { RedisConfig } from "./redis-config.ts";
import { parseRedisUrl } from "./redis-config.ts";
import type { RedisConnection } from "./redis-connection.ts";

/** One round trip to the server. */
export interface StoreCommand {
  /** As the server calls it: `EVALSHA`, `GET`. */
  readonly operation: string;
  /** The script that is run, by our name. */
  readonly script?: string | undefined;
  /** How many commands go in it, where there are several. */
  readonly count?: number | undefined;
  /** The server, where there is one alone. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** Follows round trips in the traces of the requests that need them. Absent where nothing is traced. */
export interface StoreTracing {
  /** Runs one round trip. What it is about, keys and values, is no part of the trace. */
  roundTrip<T>(command: StoreCommand, run: () => Promise<T>): Promise<T>;
}

/** The same connection, followed in traces. */
export function tracedRedis(
  redis: RedisConnection,
  { url }: Pick<RedisConfig, "url">,
  tracing: StoreTracing | undefined,
): RedisConnection {
  if (tracing === undefined) return redis;
  const { host, port } = (url && parseRedisUrl(url.reveal())) ?? {};
  const server = { host, port };
  return {
    ...redis,
    run: (script, keys, args) =>
      tracing.roundTrip({ ...server, operation: "EVALSHA", script }, () => redis.run(script, keys, args)),
    pipeline: (commands) => tracing.roundTrip({ ...server, ...ofPipeline(commands) }, () => redis.pipeline(commands)),
    publish: (channel, message) =>
      tracing.roundTrip({ ...server, operation: "PUBLISH" }, () => redis.publish(channel, message)),
  };
}

/** As OpenTelemetry names several commands in one round trip. */
function ofPipeline(commands: readonly (readonly [string, ...string[]])[]): StoreCommand {
  const names = new Set(commands.map(([name]) => name.toUpperCase()));
  const [first = ""] = names;
  if (commands.length === 1) return { operation: first };
  return { operation: names.size === 1 ? `BATCH ${first}` : "BATCH", count: commands.length };
}
