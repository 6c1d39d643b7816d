import { z } from "zod";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { type GrantKey, shortHash } from "./grant.ts";
import type { StoreMetrics } from "./metrics.ts";
import { changesChannel, listenForChanges, newsText } from "./redis-changes.ts";
import { connectRedis, type RedisConfig, type RedisConnection } from "./redis-connection.ts";
import { createRedisRows, parseReply, wholeMs } from "./redis-rows.ts";
import { createRowCodec } from "./row-codec.ts";
import { type Sealer, type SealingConfig, sealerOf } from "./sealing.ts";
import { minTombstoneMs, type TokenStore } from "./token-store.ts";
import { type StoreTracing, tracedRedis } from "./tracing.ts";

const putReply = z.enum(["written", "already", "superseded"]);
const commitReply = z.enum(["written", "already", "superseded", "revoked"]);
const revokeReply = z.string().nullable();
const rejectReply = z.tuple([z.enum(["rejected", "held", "superseded"]), z.number()]);
const refuseReply = z.enum(["dead", "superseded", "revoked", "absent"]);

/** How Redis is reached, and what seals the tokens in it: nothing where `encryption` is absent. */
export type RedisStoreConfig = RedisConfig & { readonly encryption?: SealingConfig | undefined };

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
 * own; the grant stays.
 */
export function createRedisStore(deps: RedisStoreDeps): TokenStore {
  const { config, clock, random, log, metrics, sealer = sealerOf(config.encryption) } = deps;
  const rows = createRedisRows(createRowCodec(sealer));
  const connection = tracedRedis(connectRedis({ config, clock, random, log }), config, deps.tracing);
  const redis = measured(connection, clock, metrics);
  const channel = changesChannel(config.keyPrefix);
  const stops: (() => void)[] = [];

  return {
    async read(key) {
      const name = grantKey(key);
      return rows.readResult(name, await redis.run("read", name));
    },

    async peek(key) {
      const name = grantKey(key);
      return rows.peekResult(name, await redis.run("peek", name));
    },

    async put(key, write, over) {
      const name = grantKey(key);
      const args = [over === undefined ? "1" : "", over ?? "", channel, ...rows.writeArgs(name, write)];
      const result = parseReply(putReply, await redis.run("put", name, args), name);
      if (result !== "superseded") await index(key, write.life.ms);
      return result;
    },

    async acquire(key, { attempt, seen, leaseMs, usableMs, again, overlapMs = 0, quietMs = 0 }) {
      const name = grantKey(key);
      const lives = [wholeMs(leaseMs), wholeMs(usableMs)];
      const args = [attempt, seen, ...lives, again ? "1" : "", wholeMs(overlapMs), wholeMs(quietMs)];
      return rows.acquireResult(name, await redis.run("acquire", name, args));
    },

    async renew(key, attempt, leaseMs) {
      return (await redis.run("renew", grantKey(key), [attempt, wholeMs(leaseMs)])) === 1;
    },

    async release(key, { attempt, unused, backOffMs, answerMs = 0 }) {
      return (
        (await redis.run("release", grantKey(key), [
          channel,
          attempt,
          unused ? "1" : "",
          wholeMs(backOffMs),
          wholeMs(answerMs),
        ])) === 1
      );
    },

    async commit(key, from, write, quietMs = 0) {
      const name = grantKey(key);
      return parseReply(
        commitReply,
        await redis.run("commit", name, [from, wholeMs(quietMs), channel, ...rows.writeArgs(name, write)]),
        name,
      );
    },

    async refuse(key, from, why) {
      return parseReply(refuseReply, await redis.run("refuse", grantKey(key), [channel, from, why]), "refuse");
    },

    async reject(key, version, { stays, firstHoldMs, longestHoldMs }) {
      const args = [channel, version, stays ? "1" : "", wholeMs(firstHoldMs), wholeMs(longestHoldMs)];
      const [kind, holdMs] = parseReply(rejectReply, await redis.run("reject", grantKey(key), args), "reject");
      return kind === "held" ? { kind, remainingMs: holdMs } : { kind };
    },

    async revoke(key, version, from = "") {
      return (
        parseReply(
          revokeReply,
          await redis.run("revoke", grantKey(key), [channel, version, String(minTombstoneMs), from]),
          "revoke",
        ) ?? undefined
      );
    },

    async list(session, candidates) {
      const [members] = await redis.pipeline([["smembers", indexKey(session)]]);
      const indexed = parseReply(z.array(z.string()), members, "smembers");
      const upstreams = [...new Set([...indexed, ...candidates])];
      const found = await redis.pipeline(upstreams.map((upstream) => ["exists", grantKey({ session, upstream })]));
      const held = upstreams.filter((_, at) => found[at] === 1);
      await repair(session, indexed, held);
      return held;
    },

    announce: (news) => redis.publish(channel, newsText(news, config.keyPrefix)),

    listen(listener) {
      stops.push(listenForChanges({ redis, channel, keyPrefix: config.keyPrefix, listener, clock, random, log }));
    },

    async ping() {
      await redis.pipeline([["ping"]]);
    },

    close() {
      for (const stop of stops) stop();
      return redis.close();
    },
  };

  function grantKey({ session, upstream }: GrantKey): string {
    return `${config.keyPrefix}{${session}}:grant:${upstream}`;
  }

  function indexKey(session: string): string {
    return `${config.keyPrefix}{${session}}:index`;
  }

  /**
   * The set of a session's upstreams is written at logins, not at refreshes. If that fails the write itself has still
   * succeeded: `list` looks at all configured upstreams too, and repairs the set.
   */
  async function index(key: GrantKey, lifeMs: number): Promise<void> {
    const name = indexKey(key.session);
    const life = wholeMs(lifeMs);
    try {
      await redis.pipeline([
        ["sadd", name, key.upstream],
        ["pexpire", name, life, "NX"],
        ["pexpire", name, life, "GT"],
      ]);
    } catch (error) {
      log.warn(
        {
          event: "index_not_written",
          upstream: key.upstream,
          session: shortHash(key.session),
          reason: messageOf(error),
        },
        "the grant is stored, and the set of its session's upstreams is not; listing the session's grants repairs it",
      );
    }
  }

  async function repair(session: string, indexed: readonly string[], held: readonly string[]): Promise<void> {
    const lost = held.filter((upstream) => !indexed.includes(upstream));
    const gone = indexed.filter((upstream) => !held.includes(upstream));
    if (gone.length > 0) await redis.pipeline([["srem", indexKey(session), ...gone]]);
    for (const upstream of lost) await index({ session, upstream }, minTombstoneMs);
  }
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
    run: (script, key, args) => measure(script, () => redis.run(script, key, args)),
    pipeline: (commands) => measure(commands[0]?.[0] ?? "empty", () => redis.pipeline(commands)),
    publish: (channel, message) => measure("publish", () => redis.publish(channel, message)),
  };
}
