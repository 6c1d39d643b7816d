import { Redis } from "ioredis";
import {
  type ClientEvents,
  dropConnection,
  firstAttempt,
  type RedisClient,
  streamOf,
  watchConnection,
} from "./redis-client.ts";
import type { ConnectionOptions } from "./redis-options.ts";
import { watchSentinels } from "./redis-sentinels.ts";

/**
 * One connection to one master: the one of a URL, or the one that sentinels name, whose role is checked before it is
 * used.
 */
export function connectMaster({ options, events }: { options: ConnectionOptions; events: ClientEvents }): RedisClient {
  const redis = new Redis(options);
  watchConnection(redis, events);
  const sentinels = watchSentinels(options, () => {
    dropConnection(redis);
    events.switched();
  });

  return {
    attempted: firstAttempt(redis),
    keyed: gathering,
    keyless: gathering,
    masters: () => (redis.status === "ready" ? [redis] : []),
    async close() {
      sentinels.close();
      if (redis.status === "ready") await redis.quit().catch(() => redis.disconnect());
      else redis.disconnect();
    },
  };

  /** Writes of one turn of the event loop leave in one system call, as a call costs more than all of ioredis's work. */
  function gathering(): Redis {
    const stream = streamOf(redis);
    if (stream?.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return redis;
  }
}
