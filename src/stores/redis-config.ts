import type { Secret } from "../platform/secret.ts";

/** Where a server listens. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** From `host:port` as servers announce themselves to where they are reached from here. */
export type NatMap = Readonly<Record<string, HostPort>>;

/** TLS towards Redis. PEM contents; certificates are always verified. */
export interface RedisTls {
  /** Default: the authorities that Node trusts. */
  readonly ca?: string | undefined;
  /** The client's certificate, where the server asks for one. */
  readonly cert?: string | undefined;
  readonly key?: Secret | undefined;
  /** The name that the server's certificate must have, where it is not the host's. */
  readonly serverName?: string | undefined;
  /** Default TLSv1.2. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
}

/** A master that sentinels know. User, password and TLS here are the sentinels' own. */
export interface SentinelConfig {
  readonly name: string;
  readonly nodes: readonly HostPort[];
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  readonly tls?: RedisTls | undefined;
  readonly natMap?: NatMap | undefined;
}

/** A Redis Cluster, by some of its nodes. */
export interface ClusterConfig {
  readonly nodes: readonly HostPort[];
  readonly natMap?: NatMap | undefined;
}

/** How Redis is reached: by exactly one of `url`, `sentinel`, `cluster`. */
export interface RedisConfig {
  /** `redis://host:port/database`, or `rediss://` for TLS. */
  readonly url?: Secret | undefined;
  readonly sentinel?: SentinelConfig | undefined;
  readonly cluster?: ClusterConfig | undefined;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** Default: the URL's, or 0. */
  readonly database?: number | undefined;
  readonly tls?: RedisTls | undefined;
  /** What CLIENT LIST shows; default bearerswap. */
  readonly connectionName?: string | undefined;
  /** Begins every key; no braces, as Redis Cluster hashes what stands in them. */
  readonly keyPrefix: string;
  /** How long one command may take, ms. */
  readonly commandTimeoutMs: number;
  /** How long a connection may take to be made, ms; default 5 s. */
  readonly connectTimeoutMs?: number | undefined;
}

/** The parts of a Redis URL. */
interface RedisUrl extends HostPort {
  readonly tls: boolean;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
}

/**
 * Undefined where the text is no `redis://` or `rediss://` URL of a host, port and database, with nothing else in it.
 */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  const url = /^rediss?:\/\//.test(text) && !/\s/.test(text) ? URL.parse(text) : null;
  const [, database] = /^\/?(\d{0,5})$/.exec(url?.pathname ?? "?") ?? [];
  if (url === null || database === undefined || url.hostname === "" || url.search !== "" || url.hash !== "")
    return undefined;
  try {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? 6379 : Number(url.port),
      tls: url.protocol === "rediss:",
      username: url.username === "" ? undefined : decodeURIComponent(url.username),
      password: url.password === "" ? undefined : decodeURIComponent(url.password),
      database: database === "" ? undefined : Number(database),
    };
  } catch {
    return undefined; // a percent sign that encodes nothing
  }
}
