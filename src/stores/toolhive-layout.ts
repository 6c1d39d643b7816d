import { z } from "zod";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "./grant.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { parseReply } from "./redis-rows.ts";
import type { RowLayout } from "./row-layout.ts";
import { toolhiveCodec } from "./toolhive-codec.ts";
import { createToolhiveKeys } from "./toolhive-keys.ts";
import { readToolhiveRow } from "./toolhive-row.ts";

/** Whose rows of ToolHive's are used. */
export interface ToolhiveConfig {
  /** What the keys of its auth server begin with: `thv:auth:{<namespace>:<name>}:`. */
  readonly prefix: string;
}

interface ToolhiveLayoutDeps {
  readonly redis: Pick<RedisConnection, "pipeline" | "run">;
  readonly config: ToolhiveConfig;
  readonly keyPrefix: string;
  readonly log: Log;
}

const members = z.array(z.string());

/**
 * The rows of ToolHive's auth server, one JSON text for each grant, and beside each a hash of ours: what ToolHive knows
 * nothing of, such as the lease. ToolHive's indexes are kept as it keeps them: after the row, in commands of their own.
 */
export function createToolhiveLayout({ redis, config, keyPrefix, log }: ToolhiveLayoutDeps): RowLayout {
  const keys = createToolhiveKeys(config.prefix, keyPrefix);
  return {
    codec: toolhiveCodec,
    nameOf: keys.nameOf,
    keysOf(key) {
      const row = keys.rowOf(key);
      return { row, hash: keys.hashOf(row), name: keys.nameOf(key) };
    },
    grantOf: keys.grantOfHash,

    async put(key, write, run) {
      const before = await userOf(keys.rowOf(key));
      const result = await run();
      if (result !== "superseded") await index(key, write.grant.subject, before);
      return result;
    },

    async commit(key, write, run) {
      const result = await run();
      if (result === "written" || result === "already") await index(key, write.grant.subject);
      return result;
    },

    async list(session, candidates) {
      const [found] = await redis.pipeline([["smembers", keys.sessionIndex(session)]]);
      const indexed = parseReply(members, found, "smembers").map((row) => keys.grantOf(row));
      const named = indexed.flatMap((key) => (key?.session === session ? [key.upstream] : []));
      const upstreams = [...new Set([...named, ...candidates])];
      const rows = upstreams.map((upstream) => keys.rowOf({ session, upstream }));
      const [there, states] = await Promise.all([
        redis.pipeline(rows.map((row) => ["exists", row])),
        redis.pipeline(rows.map((row) => ["hget", keys.hashOf(row), "state"])),
      ]);
      return upstreams.filter((_, at) => there[at] === 1 || states[at] === "revoked");
    },
  };

  /** Whose row is there, as far as that can be told. */
  async function userOf(row: string): Promise<string | undefined> {
    const [text] = await redis.pipeline([["get", row]]).catch(() => []);
    const read = typeof text === "string" ? readToolhiveRow(text) : undefined;
    return typeof read === "object" ? (read.user_id ?? undefined) : undefined;
  }

  /** If that fails the write itself has still succeeded, and the next one repairs the indexes. */
  async function index(key: GrantKey, user = "", userBefore = user): Promise<void> {
    const row = keys.rowOf(key);
    try {
      const [ttl] = await redis.pipeline([["pttl", row]]);
      // ToolHive has deleted the row since, and taken it out of its sets.
      if (ttl === -2) return;
      await Promise.all([
        redis.run("index", keys.sessionIndex(key.session), [row, String(ttl)]),
        user !== "" && redis.pipeline([["sadd", keys.userIndex(user), row]]),
        userBefore !== "" && userBefore !== user && redis.pipeline([["srem", keys.userIndex(userBefore), row]]),
      ]);
    } catch (error) {
      log.warn(
        {
          event: "index_not_written",
          upstream: key.upstream,
          session: shortHash(key.session),
          // The key of the session's set names the session.
          reason: messageOf(error).replaceAll(keys.sessionIndex(key.session), "the session's set"),
        },
        "the grant is stored, and ToolHive's sets of the session's and the user's rows are not; the next refresh repairs them",
      );
    }
  }
}
