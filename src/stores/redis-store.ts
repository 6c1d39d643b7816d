import { z } from "zod";
import { BearerswapError, messageOf } from "../error.ts";
import type { Random } from "../random.ts";
import type { Log } from "../telemetry/log.ts";
import { type GrantKey, type StoredAccess, shortHash } from "../tokens/grant.ts";
import { connectRedis, type RedisConfig } from "./redis-connection.ts";
import { createRowCodec, type RowCodec, type RowPlace } from "./row-codec.ts";
import { createSealer, type SealingConfig } from "./sealing.ts";
import { type GrantWrite, minTombstoneMs, type ReadResult, type TokenStore } from "./token-store.ts";

const rowReply = z.tuple([z.string(), z.string(), z.string(), z.string(), z.string(), z.string(), z.number(), z.string()]);
const writeReply = z.enum(["written", "superseded", "revoked"]);
const refuseReply = z.enum(["dead", "superseded", "revoked", "absent"]);

/** How Redis is reached, and what seals the tokens in it: nothing where `encryption` is absent. */
export type RedisStoreConfig = RedisConfig & { readonly encryption?: SealingConfig | undefined };

/** Grants in Redis ≥ 7.0 or Valkey, one hash for each: `<prefix>{S}:grant:<upstream>`. Access tokens expire on their own; the grant stays. */
export function createRedisStore({ config, log, random }: { config: RedisStoreConfig; log: Log; random: Random }): TokenStore {
  const codec = createRowCodec(config.encryption && createSealer(config.encryption));
  const redis = connectRedis({ config, log, random });

  return {
    async read(key) {
      const name = grantKey(key);
      const reply = await redis.run("read", name);
      return Array.isArray(reply) && reply.length === 0 ? { kind: "absent" } : parseRow(codec, reply, name);
    },

    async put(key, write) {
      const name = grantKey(key);
      await redis.run("write", name, writeArgs(codec, name, "", write));
      await index(key, write.life.ms);
    },

    async commit(key, from, write) {
      const name = grantKey(key);
      const result = parse(writeReply, await redis.run("write", name, writeArgs(codec, name, from, write)), "write");
      // The tokens are safe now; nobody waits for the index.
      if (result === "written") void index(key, write.life.ms);
      return result;
    },

    async refuse(key, from, why) {
      return parse(refuseReply, await redis.run("refuse", grantKey(key), [from, why]), "refuse");
    },

    async revoke(key, version) {
      return (await redis.run("revoke", grantKey(key), [version, String(minTombstoneMs)])) === 1;
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

    async ping() {
      await redis.pipeline([["ping"]]);
    },

    close: () => redis.close(),
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

function writeArgs(codec: RowCodec, key: string, from: string, { version, grant, access, life }: GrantWrite): string[] {
  const row = { key, version };
  const held = access !== undefined && (access.remainingMs === undefined || access.remainingMs >= 1) ? access : undefined;
  const accessMs = held?.remainingMs === undefined ? "" : wholeMs(Math.floor(held.remainingMs));
  return [from, version, codec.encodeGrant(grant, row), held ? codec.encodeAccess(held, row) : "", accessMs, wholeMs(life.ms), life.stated ? "1" : ""];
}

function parseRow(codec: RowCodec, reply: unknown, name: string): ReadResult {
  const [version, state, why, grant, access, accessMs, ttlMs, stated] = parse(rowReply, reply, name);
  if (state === "revoked") return { kind: "revoked", version };
  if (state !== "active" && state !== "dead")
    throw new BearerswapError("store_corrupt", `${name} field state is "${state}"; it was left as it is: put the grant anew, or delete the key`);
  const place = { key: name, version };
  const row = {
    version,
    state,
    why: why === "" ? undefined : why,
    grant: codec.decodeGrant(grant, place),
    access: access === "" ? undefined : parseAccess(codec, access, accessMs, place),
    life: { ms: ttlMs, stated: stated === "1" },
  } as const;
  return { kind: "found", row };
}

/** A token that had an expiry when it was written has one, also where the server lost the field. */
function parseAccess(codec: RowCodec, access: string, accessMs: string, place: RowPlace): StoredAccess | undefined {
  const { token, lifeMs } = codec.decodeAccess(access, place);
  if (accessMs === "") return lifeMs === undefined ? { token } : undefined;
  return { token, lifeMs, remainingMs: Number(accessMs) };
}

function parse<T>(schema: z.ZodType<T>, reply: unknown, what: string): T {
  const parsed = schema.safeParse(reply);
  if (!parsed.success) throw new BearerswapError("store_corrupt", `${what}: unexpected reply from Redis`);
  return parsed.data;
}
