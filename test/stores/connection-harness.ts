import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { RedisConfig } from "../../src/stores/redis-config.ts";
import { connectRedis, type RedisConnection } from "../../src/stores/redis-connection.ts";
import type { Resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

export interface OpenConnection {
  readonly redis: RedisConnection;
  /** Everything logged. */
  log(): string;
  /** What was logged as wrong: reason and advice, one a line. */
  problems(): readonly string[];
  /** How often a connection to a master became ready. */
  readies(): number;
}

export interface OpenOptions extends Partial<RedisConfig> {
  readonly clock?: Clock;
  /** Default true: resolves with the first answer. */
  readonly wait?: boolean;
}

/** A connection, closed with `resources`. Its command time-out is a second unless given. */
export async function openConnection(
  { use }: Resources,
  { clock = systemClock(), wait = true, ...config }: OpenOptions,
): Promise<OpenConnection> {
  const lines: string[] = [];
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const settings = { keyPrefix: "", commandTimeoutMs: 1_000, ...config };
  const redis = await use(connectRedis({ config: settings, clock, random: systemRandom(), log }));
  let readies = 0;
  redis.onReady(() => readies++);
  if (wait) await until("the first answer", () => answers(redis));
  return {
    redis,
    log: () => lines.join(""),
    problems: () =>
      lines.flatMap((line) => {
        const { level, reason, advice } = JSON.parse(line) as Record<string, string>;
        return level === "error" ? [`${reason}: ${advice}`] : [];
      }),
    readies: () => readies,
  };
}

/** Where a test's server or proxy is, as a URL. */
export function urlOf({ host, port }: { host: string; port: number }, scheme = "redis"): Secret {
  return new Secret(`${scheme}://${host}:${port}`);
}

/** Sends one command. */
export async function send(redis: RedisConnection, ...command: [string, ...string[]]): Promise<unknown> {
  return (await redis.pipeline([command]))[0];
}

/** Whether a command gets through now; a PING by default. */
export function answers(redis: RedisConnection, ...[name = "ping", ...args]: string[]): Promise<boolean> {
  return send(redis, name, ...args).then(
    () => true,
    () => false,
  );
}

/** What a call throws; fails the test where it does not. */
export async function failureOf(call: Promise<unknown>): Promise<Error> {
  const failure = await call.then(
    () => undefined,
    (error: Error) => error,
  );
  if (failure === undefined) throw new Error("there was no failure");
  return failure;
}

export interface Heard {
  readonly messages: readonly string[];
  /** How often the subscription has begun. */
  readonly begun: number;
}

/** Subscribes; resolves when the subscription has begun, unless `wait` is false. */
export async function hear(redis: RedisConnection, channel: string, { wait = true } = {}): Promise<Heard> {
  const messages: string[] = [];
  const heard = { messages, begun: 0 };
  redis.subscribe(channel, { message: (text) => void messages.push(text), subscribed: () => void heard.begun++ });
  if (wait) await until("the subscription", () => heard.begun === 1);
  return heard;
}

/** Publishes until the message is heard: a subscription on another node may have begun a moment ago. */
export async function untilHeard(
  redis: RedisConnection,
  heard: Heard,
  channel: string,
  message: string,
): Promise<void> {
  await until("the message", async () => {
    await redis.publish(channel, message).catch(() => undefined);
    return heard.messages.includes(message);
  });
}
