import { z } from "zod";
import type { Clock } from "../clock.ts";
import { BearerswapError, messageOf } from "../error.ts";
import type { Random } from "../random.ts";
import type { Log } from "../telemetry/log.ts";
import { type GrantKey, type StoredAccess, shortHash } from "../tokens/grant.ts";
import { listenForChanges } from "./redis-changes.ts";
import { connectRedis, type RedisConfig } from "./redis-connection.ts";
import { decodeAccess, decodeGrant, encodeAccess, encodeGrant } from "./row-codec.ts";
import { type AcquireResult, type EarlierAttempts, type GrantRow, type GrantWrite, minTombstoneMs, type ReadResult, type TokenStore } from "./token-store.ts";

const rowReply = z.tuple([z.string(), z.string(), z.string(), z.string(), z.string(), z.string(), z.number(), z.string(), z.number()]);
const waitReply = z.tuple([z.enum(["back_off", "busy"]), z.number()]);
const rowAcquireReply = z.tuple([z.enum(["moved", "dead", "acquired"]), z.number(), z.number(), z.number(), z.number()], z.unknown());
const bareReply = z.tuple([z.enum(["absent", "revoked"])]);
const acquireReply = z.union([rowAcquireReply, waitReply, bareReply]);
const commitReply = z.enum(["written", "already", "superseded", "revoked"]);
const refuseReply = z.enum(["dead", "superseded", "revoked", "absent"]);

export interface RedisStoreDeps {
  readonly config: RedisConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Grants in Redis ≥ 7.0 or Valkey, one hash for each: `<prefix>{S}:grant:<upstream>`. Access tokens expire on their own; the grant stays. */
export function createRedisStore({ config, clock, log, random }: RedisStoreDeps): TokenStore {
  const redis = connectRedis({ config, log, random });
  const channel = `${config.keyPrefix}changes`;
  const stops: (() => void)[] = [];

  return {
    async read(key) {
      const name = grantKey(key);
      const reply = await redis.run("read", name);
      return Array.isArray(reply) && reply.length === 0 ? { kind: "absent" } : parseRow(reply, name);
    },

    async put(key, write) {
      await redis.run("put", grantKey(key), [channel, ...writeArgs(write)]);
      await index(key, write.life.ms);
    },

    async acquire(key, { attempt, seen, leaseMs, usableMs }) {
      const name = grantKey(key);
      return parseAcquire(await redis.run("acquire", name, [attempt, seen, wholeMs(leaseMs), wholeMs(usableMs)]), name);
    },

    async renew(key, attempt, leaseMs) {
      return (await redis.run("renew", grantKey(key), [attempt, wholeMs(leaseMs)])) === 1;
    },

    async release(key, { attempt, unused, backOffMs }) {
      return (await redis.run("release", grantKey(key), [channel, attempt, unused ? "1" : "", wholeMs(backOffMs)])) === 1;
    },

    async commit(key, from, write) {
      const result = parse(commitReply, await redis.run("commit", grantKey(key), [from, channel, ...writeArgs(write)]), "commit");
      // The tokens are safe now; nobody waits for the index.
      if (result === "written") void index(key, write.life.ms);
      return result;
    },

    async refuse(key, from, why) {
      return parse(refuseReply, await redis.run("refuse", grantKey(key), [channel, from, why]), "refuse");
    },

    async revoke(key, version) {
      return (await redis.run("revoke", grantKey(key), [channel, version, String(minTombstoneMs)])) === 1;
    },

    async list(session, candidates) {
      const [members] = await redis.pipeline([["smembers", indexKey(session)]]);
      const indexed = parse(z.array(z.string()), members, "smembers");
      const upstreams = [...new Set([...indexed, ...candidates])];
      const found = await redis.pipeline(upstreams.map((upstream) => ["exists", grantKey({ session, upstream })]));
      const held = upstreams.filter((_, at) => found[at] === 1);
      await repair(session, indexed, held);
      return held;
    },

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

  /** The index lives as long as the longest-lived of its grants. It is a convenience, repaired by `list`: a failure here is no failure of the write. */
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
      log.warn({ event: "index_not_written", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) }, "session index not updated");
    }
  }

  async function repair(session: string, indexed: readonly string[], held: readonly string[]): Promise<void> {
    const lost = held.filter((upstream) => !indexed.includes(upstream));
    const gone = indexed.filter((upstream) => !held.includes(upstream));
    if (gone.length > 0) await redis.pipeline([["srem", indexKey(session), ...gone]]);
    for (const upstream of lost) await index({ session, upstream }, minTombstoneMs);
  }
}

/** Longer than any life that matters, and short enough for Redis to add it to its clock. */
const longestMs = 100 * 365 * 24 * 60 * 60 * 1_000;

function wholeMs(ms: number): string {
  return String(Math.ceil(Math.min(ms, longestMs)));
}

/** As put.lua and commit.lua take them, after the channel. */
function writeArgs({ version, grant, access, life }: GrantWrite): string[] {
  const held = access !== undefined && (access.remainingMs === undefined || access.remainingMs >= 1) ? access : undefined;
  const accessMs = held?.remainingMs === undefined ? "" : wholeMs(Math.floor(held.remainingMs));
  return [version, encodeGrant(grant), held ? encodeAccess(held) : "", accessMs, wholeMs(life.ms), life.stated ? "1" : ""];
}

function parseRow(reply: unknown, name: string): ReadResult {
  const parsed = parse(rowReply, reply, name);
  return parsed[1] === "revoked" ? { kind: "revoked", version: parsed[0] } : { kind: "found", row: rowOf(parsed, name) };
}

function rowOf([version, state, why, grant, access, accessMs, ttlMs, stated, backOffMs]: z.output<typeof rowReply>, name: string): GrantRow {
  if (state !== "active" && state !== "dead")
    throw new BearerswapError("store_corrupt", `${name} field state is "${state}"; it was left as it is: put the grant anew, or delete the key`);
  return {
    version,
    state,
    why: why === "" ? undefined : why,
    grant: decodeGrant(grant, name),
    access: access === "" ? undefined : parseAccess(access, accessMs, name),
    life: { ms: ttlMs, stated: stated === "1" },
    backOffMs,
  };
}

function parseAcquire(reply: unknown, name: string): AcquireResult {
  const parsed = parse(acquireReply, reply, name);
  switch (parsed[0]) {
    case "absent":
    case "revoked":
      return { kind: parsed[0] };
    case "back_off":
    case "busy":
      return { kind: parsed[0], remainingMs: parsed[1] };
    case "moved":
    case "dead":
      return { kind: parsed[0], row: rowOf(parse(rowReply, parsed.slice(5), name), name) };
    case "acquired": {
      const [, , count, sinceMs, failures, ...row] = parsed;
      const earlier: EarlierAttempts | undefined = count === 0 ? undefined : { count, sinceMs };
      return { kind: "acquired", row: rowOf(parse(rowReply, row, name), name), earlier, failures };
    }
    default:
      return parsed[0] satisfies never;
  }
}

/** A token that had an expiry when it was written has one, also where the server lost the field. */
function parseAccess(access: string, accessMs: string, name: string): StoredAccess | undefined {
  const { token, lifeMs } = decodeAccess(access, name);
  if (accessMs === "") return lifeMs === undefined ? { token } : undefined;
  return { token, lifeMs, remainingMs: Number(accessMs) };
}

function parse<T>(schema: z.ZodType<T>, reply: unknown, what: string): T {
  const parsed = schema.safeParse(reply);
  if (!parsed.success) throw new BearerswapError("store_corrupt", `${what}: unexpected reply from Redis`);
  return parsed.data;
}
