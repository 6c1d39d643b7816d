import { readFileSync } from "node:fs";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { ClientEvents, RedisClient } from "./redis-client.ts";
import { connectCluster } from "./redis-cluster.ts";
import type { RedisConfig } from "./redis-config.ts";
import { createGuard } from "./redis-guard.ts";
import { askHistories, type ServerHistory } from "./redis-history.ts";
import { connectMaster } from "./redis-master.ts";
import { type ConnectionOptions, connectionOptions, placeOptions } from "./redis-options.ts";
import { createProblemLog } from "./redis-problems.ts";
import { createSubscription, type Subscription, type SubscriptionListener } from "./redis-subscription.ts";

export type { RedisConfig } from "./redis-config.ts";

/** The files in lua/ that are run over one key. */
const scripts = [
  "read",
  "peek",
  "put",
  "acquire",
  "renew",
  "release",
  "commit",
  "refuse",
  "reject",
  "revoke",
  "end",
  "history",
  "index",
] as const;
export type ScriptName = (typeof scripts)[number];

/** Our hash and the row of ToolHive's that it belongs to, and what both are called in messages. */
interface ToolhiveRowKeys {
  readonly hash: string;
  readonly row: string;
  readonly name: string;
}

/** The key of a script; or two, over which it is run as ToolHive's rows want it. */
export type ScriptKeys = string | ToolhiveRowKeys;

/**
 * Redis as the store uses it: one server, the master that sentinels name, or a cluster. Failures are BearerswapErrors
 * that hold no argument.
 */
export interface RedisConnection {
  /**
   * Runs a script: EVALSHA, and EVAL where the server does not know it yet. The reply's shape is the caller's to check.
   */
  readonly run: (script: ScriptName, keys: ScriptKeys, args?: readonly string[]) => Promise<unknown>;
  /**
   * Runs commands in order, in one round trip. All keys are in one slot. Throws the first failure when all have ended.
   */
  readonly pipeline: (commands: readonly (readonly [string, ...string[]])[]) => Promise<readonly unknown[]>;
  /** Asks each master that is connected which history its data belong to; never rejects. */
  readonly histories: (tell: (history: ServerHistory) => void) => Promise<void>;
  /** PUBLISH. */
  readonly publish: (channel: string, message: string) => Promise<void>;
  /**
   * Keeps a subscription on a connection of its own, made anew after every loss; `subscribed` is called each time it
   * has begun. One call at most.
   */
  readonly subscribe: (channel: string, listener: SubscriptionListener) => void;
  /** Drops the subscription's connection, which seems to be half-open, and makes a new one. */
  readonly resubscribe: () => void;
  /** Called each time a connection to a (new) master is ready, the first included. */
  readonly onReady: (listener: () => void) => void;
  close(): Promise<void>;
}

interface RedisConnectionDeps {
  readonly config: RedisConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Connects in the background, and anew after every loss. A command waits for the first attempt to connect. Later it
 * fails at once while there is no connection. A command is never sent twice: if it ran late or again, it would write
 * what is no longer true.
 */
export function connectRedis({ config, clock, random, log }: RedisConnectionDeps): RedisConnection {
  const problems = createProblemLog({ log, clock });
  const listeners: (() => void)[] = [];
  let subscription: Subscription | undefined;
  scriptOptions ??= readScripts();
  const options = { ...connectionOptions(config, random), ...placeOptions(config, random), scripts: scriptOptions };
  const events: ClientEvents = {
    problem: problems.note,
    lost: () => problems.note(new Error("the connection was lost")),
    ready() {
      problems.connected();
      for (const listener of listeners) listener();
    },
    switched: () => subscription?.renew(),
  };
  const client =
    config.cluster === undefined
      ? connectMaster({ options, events })
      : connectCluster({ config: config.cluster, options, random, events });
  const guarded = createGuard(client.attempted, problems);

  return {
    run: (script, keys, args = []) =>
      typeof keys === "string"
        ? guarded(() => scriptsOf(client.keyed())[`bearerswap_${script}`](keys, ...args), keys)
        : guarded(
            () => scriptsOf(client.keyed())[`bearerswap_toolhive_${script}`](keys.hash, keys.row, ...args),
            keys.name,
          ),
    pipeline: (commands) => guarded(() => inOneGo(client, commands)),
    histories(tell) {
      const key = `${config.keyPrefix}history`;
      return askHistories(client, async () => String(await scriptsOf(client.keyed()).bearerswap_history(key)), tell);
    },
    publish: async (channel, message) => void (await guarded(() => client.keyless().publish(channel, message))),
    subscribe(channel, listener) {
      subscription = createSubscription({ options, channel, listener, onProblem: problems.note, place: client.place });
    },
    resubscribe: () => subscription?.renew(),
    onReady: (listener) => void listeners.push(listener),
    async close() {
      problems.close();
      subscription?.close();
      await client.close();
    },
  };
}

/**
 * Writes commands one after the other in one tick. ioredis's own pipelines would wait until the slots of a cluster are
 * known.
 */
async function inOneGo(client: RedisClient, commands: readonly (readonly [string, ...string[]])[]): Promise<unknown[]> {
  const sent = commands.map(([name, ...args]) =>
    (args.length === 0 ? client.keyless() : client.keyed()).call(name, args),
  );
  return (await Promise.allSettled(sent)).map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

type Scripts = Readonly<
  Record<`bearerswap_${"" | "toolhive_"}${ScriptName}`, (key: string, ...args: string[]) => Promise<unknown>>
>;

/** Read once, for all connections of this process. */
let scriptOptions: ConnectionOptions["scripts"];

function readScripts(): NonNullable<ConnectionOptions["scripts"]> {
  return Object.fromEntries(
    scripts.flatMap((name) => [
      [`bearerswap_${name}`, { numberOfKeys: 1, lua: textOf([...shared, "write", name]) }],
      [
        `bearerswap_toolhive_${name}`,
        { numberOfKeys: 2, lua: textOf([...shared, ...toolhive, ...changing(name), name]) },
      ],
    ]),
  );
}

const shared = ["row", "fence"];
const toolhive = ["toolhive-row", "toolhive-view"];

/** What scripts that change something need beside it. */
function changing(name: ScriptName): string[] {
  return name === "read" || name === "peek" ? [] : ["sync", "json", "text", "write"].map((part) => `toolhive-${part}`);
}

/** ioredis adds a method for each script. */
function scriptsOf(client: object): Scripts {
  return client as Scripts;
}

function textOf(files: readonly string[]): string {
  return files.map((file) => readFileSync(new URL(`./lua/${file}.lua`, import.meta.url), "utf8")).join("\n");
}
