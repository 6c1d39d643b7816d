import { z } from "zod";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "./grant.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { parseReply, wholeMs } from "./redis-rows.ts";
import { createRowCodec } from "./row-codec.ts";
import type { RowLayout } from "./row-layout.ts";
import type { Sealer } from "./sealing.ts";
import { minTombstoneMs } from "./token-store.ts";

interface HashLayoutDeps {
  readonly redis: Pick<RedisConnection, "pipeline">;
  readonly keyPrefix: string;
  readonly sealer: Sealer;
  readonly log: Log;
}

/** One hash for each grant, `<prefix>{S}:grant:<upstream>`, and beside them the set of a session's upstreams. */
export function createHashLayout({ redis, keyPrefix, sealer, log }: HashLayoutDeps): RowLayout {
  return {
    codec: createRowCodec(sealer),
    nameOf: grantKey,
    keysOf: grantKey,

    async put(key, write, run) {
      const result = await run();
      if (result !== "superseded") await index(key, write.life.ms);
      return result;
    },

    commit: (_key, _write, run) => run(),

    async list(session, candidates) {
      const [members] = await redis.pipeline([["smembers", indexKey(session)]]);
      const indexed = parseReply(z.array(z.string()), members, "smembers");
      const upstreams = [...new Set([...indexed, ...candidates])];
      const found = await redis.pipeline(upstreams.map((upstream) => ["exists", grantKey({ session, upstream })]));
      const held = upstreams.filter((_, at) => found[at] === 1);
      await repair(session, indexed, held);
      return held;
    },
  };

  function grantKey({ session, upstream }: GrantKey): string {
    return `${keyPrefix}{${session}}:grant:${upstream}`;
  }

  function indexKey(session: string): string {
    return `${keyPrefix}{${session}}:index`;
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
