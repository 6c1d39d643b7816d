import { Redis } from "ioredis";
import type { HostPort } from "./redis-config.ts";
import type { ConnectionOptions } from "./redis-options.ts";

/**
 * Listens for failovers at the configured sentinels. A master that lost its role but not its connections would
 * otherwise go on taking writes, which are lost later. Sentinels that cannot be reached are not reported here, but by
 * the code that connects to the master.
 */
export function watchSentinels(options: ConnectionOptions, onSwitch: () => void): { close(): void } {
  const watchers = (options.sentinels ?? []).map(({ host = "", port = 0 }) =>
    watchSentinel(options, { host, port }, onSwitch),
  );
  return {
    close() {
      for (const watcher of watchers) watcher.disconnect();
    },
  };
}

function watchSentinel(options: ConnectionOptions, place: HostPort, onSwitch: () => void): Redis {
  const {
    sentinelUsername,
    sentinelPassword,
    sentinelTLS,
    connectionName,
    connectTimeout,
    commandTimeout,
    retryStrategy,
    name = "",
  } = options;
  const redis = new Redis({
    ...place,
    username: sentinelUsername,
    password: sentinelPassword,
    tls: sentinelTLS,
    connectionName,
    connectTimeout,
    commandTimeout,
    retryStrategy,
    disableClientInfo: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResubscribe: false,
    lazyConnect: true,
  });
  redis.on("error", () => undefined);
  redis.on("ready", () => void redis.subscribe("+switch-master").catch(() => redis.disconnect(true)));
  // <name> <old ip> <old port> <new ip> <new port>
  redis.on("message", (_channel: string, message: string) => {
    if (message.startsWith(`${name} `)) onSwitch();
  });
  redis.connect().catch(() => undefined);
  return redis;
}
