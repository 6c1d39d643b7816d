import type { Cluster, Redis } from "ioredis";
import type { HostPort } from "./redis-config.ts";

/** The connection, or in a cluster the connections, that commands go through. Each is made anew whenever it is lost. */
export interface RedisClient {
  /** Resolves when the first attempt to connect has ended, whether it succeeded or not; never rejects. */
  readonly attempted: Promise<void>;
  /** Takes commands with keys. They fail at once if the master that they belong to is not connected. */
  keyed(): Redis | Cluster;
  /** Takes commands that any master can answer. */
  keyless(): Redis | Cluster;
  /** The connections to masters that are ready now. */
  masters(): readonly Redis[];
  /** In a cluster: asks which nodes have which slots. */
  readonly refreshSlots?: (() => void) | undefined;
  /** In a cluster: a node that a subscription may connect to now. */
  readonly place?: (() => HostPort | undefined) | undefined;
  close(): Promise<void>;
}

/** What a client reports. */
export interface ClientEvents {
  /** A connection to a master is ready. */
  ready(): void;
  problem(error: unknown): void;
  /** A connection that was ready is gone. */
  lost?(): void;
  /** Sentinels have made another server the master. */
  switched(): void;
}

const closedEarly = "the connection was closed before it was ready";

/** Follows one connection's life. */
export function watchConnection(redis: Redis, { ready, problem, lost }: Omit<ClientEvents, "switched">): void {
  let explained = false;
  let usable = false;
  redis.on("error", (error: Error & { command?: { name?: string }; code?: string }) => {
    explained = true;
    problem(!usable && error.code === "ECONNRESET" ? new Error(`${closedEarly} (ECONNRESET)`) : error);
    // Without this ioredis would go on with database 0.
    if (error.command?.name === "select") dropConnection(redis);
  });
  redis.on("ready", () => {
    usable = true;
    ready();
  });
  redis.on("close", () => {
    if (usable) lost?.();
    else if (!explained) problem(new Error(closedEarly));
    explained = usable = false;
  });
}

/** Closes a connection without QUIT, whose answer would never come on a half-open one. It is then made anew. */
export function dropConnection(redis: Redis): void {
  streamOf(redis)?.destroy();
}

/** The connection's stream. Before the first attempt there is none, although ioredis's type says so. */
export function streamOf(redis: Redis): Redis["stream"] | undefined {
  return redis.stream;
}

/** Connects, unless that was begun already. Resolves when the connection is ready or the attempt has failed. */
export async function firstAttempt(redis: Redis): Promise<void> {
  if (redis.status === "ready") return;
  const ended = new Promise<void>((resolve) => {
    for (const event of ["ready", "error", "close", "end"]) redis.once(event, () => resolve());
  });
  if (redis.status === "wait") redis.connect().catch(() => undefined);
  await ended;
}
