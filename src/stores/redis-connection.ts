import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { BearerswapError, messageOf } from "../error.ts";
import type { Random } from "../random.ts";
import type { Secret } from "../secret.ts";
import type { Log } from "../telemetry/log.ts";

/** How Redis is reached. */
export interface RedisConfig {
  /** `redis://host:port/database`. */
  readonly url: Secret;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** Begins every key; no braces, as Redis Cluster hashes what stands in them. */
  readonly keyPrefix: string;
  /** How long one command may take, ms. */
  readonly commandTimeoutMs: number;
}

/** One script: the reply's shape is the caller's to check. */
export type Script = (key: string, args: readonly string[]) => Promise<unknown>;

const scripts = ["read", "put", "acquire", "renew", "release", "commit", "refuse", "revoke"] as const;
export type ScriptName = (typeof scripts)[number];

export interface RedisConnection {
  /** Runs a script over one key: EVALSHA, and EVAL where the server does not know it yet. */
  readonly run: (script: ScriptName, key: string, args?: readonly string[]) => Promise<unknown>;
  /** Runs commands in one round trip, in order. */
  readonly pipeline: (commands: readonly (readonly [string, ...string[]])[]) => Promise<readonly unknown[]>;
  readonly publish: (channel: string, message: string) => Promise<void>;
  readonly subscribe: (channel: string, listener: { message(text: string): void; subscribed(): void }) => void;
  readonly resubscribe: () => void;
  readonly onReady: (listener: () => void) => void;
  close(): Promise<void>;
}

const connectTimeoutMs = 5_000;
const slowestReconnectMs = 2_000;

/**
 * Connects in the background and keeps reconnecting. A command waits for the first attempt to connect; later it fails at once while there is no connection.
 * It is never sent twice: a command that runs late or again would write what is no longer true.
 */
export function connectRedis({ config, log, random }: { config: RedisConfig; log: Log; random: Random }): RedisConnection {
  const redis = new Redis(config.url.reveal(), {
    username: config.username,
    password: config.password?.reveal(),
    connectionName: "bearerswap",
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: config.commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), slowestReconnectMs) * (0.5 + random.fraction() / 2),
    scripts: Object.fromEntries(scripts.map((name) => [`bearerswap_${name}`, { numberOfKeys: 1, lua: scriptText(name) }])),
  });
  let lastProblem: string | undefined;
  let subscriber: Redis | undefined;
  redis.on("error", (error) => {
    const problem = reasonOf(error);
    if (problem !== lastProblem) log.error({ event: "store_connection", reason: problem }, "Redis cannot be reached; trying again");
    lastProblem = problem;
  });
  redis.on("ready", () => {
    log.info({ event: "store_connection" }, "connected to Redis");
    lastProblem = undefined;
  });
  // Only the first attempt is waited for, so that a start is no outage. A failure is reported by the error event, and retried.
  const attempted = redis.connect().catch(() => undefined);

  return {
    run: (script, key, args = []) =>
      guarded(attempted, () => (redis as unknown as Record<string, (...all: string[]) => Promise<unknown>>)[`bearerswap_${script}`]?.(key, ...args), key),
    pipeline: (commands) => guarded(attempted, async () => repliesOf(await redis.pipeline(commands.map((command) => [...command])).exec())),
    publish: (channel, message) => guarded(attempted, async () => void (await redis.publish(channel, message))),
    subscribe(channel, listener) {
      subscriber = redis.duplicate({ autoResubscribe: false, lazyConnect: false });
      subscriber.on("error", () => {});
      subscriber.on("ready", () => void subscriber?.subscribe(channel).then(listener.subscribed, () => subscriber?.disconnect(true)));
      subscriber.on("message", (_, text) => listener.message(text));
    },
    resubscribe: () => subscriber?.disconnect(true),
    onReady: (listener) => void redis.on("ready", listener),
    async close() {
      subscriber?.disconnect();
      if (redis.status === "ready") await redis.quit().catch(() => redis.disconnect());
      else redis.disconnect();
    },
  };
}

/** What a script stumbles over in the row: a key of another type, a field that is no number. */
const rowProblem = /^(?:WRONGTYPE|ERR user_script:\d+:)/;

async function guarded<T>(attempted: Promise<void>, command: () => Promise<T> | undefined, key?: string): Promise<T> {
  try {
    await attempted;
    return (await command()) as T;
  } catch (error) {
    const reason = reasonOf(error);
    // Without the cause here and below: ioredis puts the command's arguments into its errors, and they hold tokens.
    if (key !== undefined && rowProblem.test(reason))
      throw new BearerswapError("store_corrupt", `${key} holds no grant that can be read; it was left as it is: look at it and delete it (Redis: ${reason})`);
    throw new BearerswapError("store_unavailable", `Redis: ${reason}`);
  }
}

/** The error's message, without the arguments that Redis quotes where it does not know a command: a password in AUTH, say. */
function reasonOf(error: unknown): string {
  return messageOf(error).replace(/,? ?with args beginning with:.*/s, "");
}

function repliesOf(results: [Error | null, unknown][] | null): unknown[] {
  return (results ?? []).map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

function scriptText(name: ScriptName): string {
  return ["row", "write", name].map((file) => readFileSync(new URL(`./lua/${file}.lua`, import.meta.url), "utf8")).join("\n");
}
