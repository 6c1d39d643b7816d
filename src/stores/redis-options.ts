import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { RedisOptions } from "ioredis";
import type { Random } from "../platform/random.ts";
import {
  type HostPort,
  type NatMap,
  parseRedisUrl,
  type RedisConfig,
  type RedisTls,
  type SentinelConfig,
} from "./redis-config.ts";

/** ioredis's options, without those that its own constructors do not take as their types stand. */
export type ConnectionOptions = Omit<RedisOptions, "replyMapping" | "scripts"> & {
  scripts?: Record<string, { lua: string; numberOfKeys: number }>;
};

const slowestReconnectMs = 2_000;

/**
 * Delays between attempts to connect, by their number from 1: doubling, capped, and jittered so that replicas do not
 * come back all at once.
 */
export function reconnectDelays(random: Random): (attempt: number) => number {
  return (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), slowestReconnectMs) * (0.5 + random.fraction() / 2);
}

/**
 * Options of every connection. A command is sent at once or not at all, and never again: one that runs late or twice
 * would write what is no longer true. A connection with commands under way that has been silent for two command
 * time-outs is taken for half-open and dropped.
 */
export function connectionOptions(config: RedisConfig, random: Random): ConnectionOptions {
  const url = parseRedisUrl(config.url?.reveal() ?? "");
  const username = config.username ?? url?.username;
  const password = config.password?.reveal() ?? url?.password;
  const tls = config.tls ?? (url?.tls ? {} : undefined);
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: tlsOptions(tls, url) }),
    db: config.database ?? url?.database ?? 0,
    connectionName: config.connectionName ?? "bearerswap",
    disableClientInfo: true,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: 1_000,
    commandTimeout: config.commandTimeoutMs,
    socketTimeout: 2 * config.commandTimeoutMs,
    connectTimeout: config.connectTimeoutMs ?? 5_000,
    disconnectTimeout: config.commandTimeoutMs,
    retryStrategy: reconnectDelays(random),
    // 1 lets the command fail, and looks for the current master. 2 would send the command again.
    reconnectOnError: (error) => (/^(?:READONLY|MASTERDOWN)\b/.test(error.message) ? 1 : false),
  };
}

/**
 * Where the one node is, or how the sentinels are asked for it. Nothing for a cluster, whose nodes say where each is.
 */
export function placeOptions(config: RedisConfig, random: Random): ConnectionOptions {
  const url = parseRedisUrl(config.url?.reveal() ?? "");
  if (url !== undefined) return { host: url.host, port: url.port };
  const { sentinel } = config;
  if (sentinel === undefined) return {};
  return {
    name: sentinel.name,
    sentinels: sentinel.nodes.map(({ host, port }) => ({ host, port })),
    sentinelRetryStrategy: reconnectDelays(random),
    sentinelCommandTimeout: config.commandTimeoutMs,
    enableTLSForSentinelMode: config.tls !== undefined,
    natMap: natMapping(sentinel.natMap),
    ...sentinelAccess(sentinel),
  };
}

function sentinelAccess({ username, password, tls }: SentinelConfig): ConnectionOptions {
  return {
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password.reveal() }),
    ...(tls === undefined ? {} : { sentinelTLS: tlsOptions(tls) }),
  };
}

/** A new object for each look-up, since ioredis writes into it. ioredis looks IPv6 addresses up without brackets. */
export function natMapping(natMap: NatMap = {}): (key: string) => HostPort | null {
  const known = new Map(Object.entries(natMap).map(([key, place]) => [key.replace(/[[\]]/g, ""), place]));
  return (key) => {
    const found = known.get(key);
    return found === undefined ? null : { host: found.host, port: found.port };
  };
}

/** Certificates are verified and TLS 1.2 is the oldest version, whatever options Node was started with. */
function tlsOptions(tls: RedisTls, place?: HostPort): TlsOptions {
  const { serverName, minVersion = "TLSv1.2" } = tls;
  // Node does not send the host's name by itself; servers that share an address need it.
  const servername = serverName ?? (place !== undefined && isIP(place.host) === 0 ? place.host : undefined);
  return {
    minVersion,
    rejectUnauthorized: true,
    ...(servername === undefined ? {} : { servername }),
    // ioredis reads these for each connection that it makes, so that files which were replaced count from then on.
    get ca() {
      return tls.ca;
    },
    get cert() {
      return tls.cert;
    },
    get key() {
      return tls.key?.reveal();
    },
  };
}
