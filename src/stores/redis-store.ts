import { z } from "zod";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { createHashLayout } from "./hash-layout.ts";
import type { StoreMetrics } from "./metrics.ts";
import { changesChannel, listenForChanges, newsText } from "./redis-changes.ts";
import { connectRedis, type RedisConfig, type RedisConnection } from "./redis-connection.ts";
import { createRedisRows, parseReply, wholeMs } from "./redis-rows.ts";
import type { RowLayout } from "./row-layout.ts";
import { type Sealer, type SealingConfig, sealerOf } from "./sealing.ts";
import { minTombstoneMs, type TokenStore } from "./token-store.ts";
import { createToolhiveLayout, type ToolhiveConfig } from "./toolhive-layout.ts";
import { type StoreTracing, tracedRedis } from "./tracing.ts";

const putReply = z.enum(["written", "already", "superseded"]);
const commitReply = z.enum(["written", "already", "superseded", "revoked", "deleted"]);
const revokeReply = z.string().nullable();
const rejectReply = z.tuple([z.enum(["rejected", "held", "superseded"]), z.number()]);
const refuseReply = z.enum(["dead", "superseded", "revoked", "absent"]);

/** How Redis is reached, and what seals the tokens in it: nothing where `encryption` is absent. */
export type RedisStoreConfig = RedisConfig & {
  readonly encryption?: SealingConfig | undefined;
  /** Where grants are ToolHive's rows in place of ours. */
  readonly toolhive?: ToolhiveConfig | undefined;
};

interface RedisStoreDeps {
  readonly config: RedisStoreConfig;
  /** Default: what `config.encryption` says. */
  readonly sealer?: Sealer | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: StoreMetrics;
  readonly tracing?: StoreTracing | undefined;
}

/**
 * Grants in Redis ≥ 7.0 or Valkey, one hash for each: `<prefix>{S}:grant:<upstream>`. Access tokens expire on their
 * own; the grant stays. With `config.toolhive` they are ToolHive's rows instead.
 */
export function createRedisStore(deps: RedisStoreDeps): TokenStore {
  const { config, clock, random, log, metrics, sealer = sealerOf(config.encryption) } = deps;
  const { keyPrefix, toolhive } = config;
  const connection = tracedRedis(connectRedis({ config, clock, random, log }), config, deps.tracing);
  const redis = measured(connection, clock, metrics);
  const layout: RowLayout =
    toolhive === undefined
      ? createHashLayout({ redis, keyPrefix, sealer, log })
      : createToolhiveLayout({ redis, config: toolhive, keyPrefix, log });
  const { keysOf, nameOf, grantOf } = layout;
  const rows = createRedisRows(layout.codec);
  const channel = changesChannel(keyPrefix);
  const stops: (() => void)[] = [];

  return {
    hasOtherWriters: toolhive !== undefined,

    async read(key) {
      return rows.readResult(nameOf(key), await redis.run("read", keysOf(key)));
    },

    async peek(key) {
      return rows.peekResult(nameOf(key), await redis.run("peek", keysOf(key)));
    },

    async put(key, write, over) {
      const name = nameOf(key);
      const args = [over === undefined ? "1" : "", over ?? "", channel, ...rows.writeArgs(name, write)];
      return layout.put(key, write, async () => parseReply(putReply, await redis.run("put", keysOf(key), args), name));
    },

    async acquire(key, { attempt, seen, leaseMs, usableMs, again, overlapMs = 0, quietMs = 0 }) {
      const lives = [wholeMs(leaseMs), wholeMs(usableMs)];
      const args = [attempt, seen, ...lives, again ? "1" : "", wholeMs(overlapMs), wholeMs(quietMs)];
      return rows.acquireResult(nameOf(key), await redis.run("acquire", keysOf(key), args));
    },

    async renew(key, attempt, leaseMs) {
      return (await redis.run("renew", keysOf(key), [attempt, wholeMs(leaseMs)])) === 1;
    },

    async release(key, { attempt, unused, backOffMs, answerMs = 0 }) {
      const args = [channel, attempt, unused ? "1" : "", wholeMs(backOffMs), wholeMs(answerMs)];
      return (await redis.run("release", keysOf(key), args)) === 1;
    },

    async commit(key, from, write, quietMs = 0) {
      const name = nameOf(key);
      const args = [from, wholeMs(quietMs), channel, ...rows.writeArgs(name, write)];
      return layout.commit(key, write, async () =>
        parseReply(commitReply, await redis.run("commit", keysOf(key), args), name),
      );
    },

    async refuse(key, from, why) {
      return parseReply(refuseReply, await redis.run("refuse", keysOf(key), [channel, from, why]), "refuse");
    },

    async reject(key, version, { stays, firstHoldMs, longestHoldMs }) {
      const args = [channel, version, stays ? "1" : "", wholeMs(firstHoldMs), wholeMs(longestHoldMs)];
      const [kind, holdMs] = parseReply(rejectReply, await redis.run("reject", keysOf(key), args), "reject");
      return kind === "held" ? { kind, remainingMs: holdMs } : { kind };
    },

    async revoke(key, version, from = "") {
      const args = [channel, version, String(minTombstoneMs), from];
      return parseReply(revokeReply, await redis.run("revoke", keysOf(key), args), "revoke") ?? undefined;
    },

    list: layout.list,

    announce: (news) => redis.publish(channel, newsText(news, keyPrefix)),

    listen(listener) {
      stops.push(listenForChanges({ redis, channel, keyPrefix, grantOf, listener, clock, random, log }));
    },

    async ping() {
      await redis.pipeline([["ping"]]);
    },

    close() {
      for (const stop of stops) stop();
      return redis.close();
    },
  };
}

/**
 * The same connection, with every script and pipeline counted and timed; a pipeline under the name of its first
 * command.
 */
function measured(redis: RedisConnection, clock: Clock, metrics: StoreMetrics): RedisConnection {
  const measure = async <T>(command: string, run: () => Promise<T>): Promise<T> => {
    const startedAt = clock.monotonicMs();
    try {
      const reply = await run();
      metrics.command(command, clock.monotonicMs() - startedAt, undefined);
      return reply;
    } catch (error) {
      metrics.command(
        command,
        clock.monotonicMs() - startedAt,
        error instanceof BearerswapError ? error.code : "internal_error",
      );
      throw error;
    }
  };
  return {
    ...redis,
    run: (script, keys, args) => measure(script, () => redis.run(script, keys, args)),
    pipeline: (commands) => measure(commands[0]?.[0] ?? "empty", () => redis.pipeline(commands)),
    publish: (channel, message) => measure("publish", () => redis.publish(channel, message)),
  };
}
