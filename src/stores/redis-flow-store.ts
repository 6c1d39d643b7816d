import { z } from "zod";
import type { FlowKind, FlowStore } from "./flow-store.ts";
import { changesChannel, newsText } from "./redis-changes.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { parseReply, wholeMs } from "./redis-rows.ts";
import { type Sealer, unsealed } from "./sealing.ts";

interface RedisFlowStoreDeps {
  readonly redis: Pick<RedisConnection, "run" | "pipeline" | "close">;
  readonly keyPrefix: string;
  /** Seals the values. Without it they are stored in the clear. */
  readonly sealer?: Sealer | undefined;
}

const reply = z.string().nullable();

/**
 * Records in Redis ≥ 6.2 or Valkey, one string for each: `<prefix>flow:<kind>:<id>`. Redis ends them, by its own clock.
 */
export function createRedisFlowStore({ redis, keyPrefix, sealer = unsealed }: RedisFlowStoreDeps): FlowStore {
  return {
    async put(kind, id, value, lifeMs) {
      const key = keyOf(kind, id);
      const [raw] = await redis.pipeline([["set", key, sealer.seal(value, placeOf(key)), "PX", wholeMs(lifeMs), "NX"]]);
      return parseReply(reply, raw, key) !== null;
    },
    async set(kind, id, value, lifeMs) {
      const key = keyOf(kind, id);
      await redis.pipeline([["set", key, sealer.seal(value, placeOf(key)), "PX", wholeMs(lifeMs)]]);
    },
    read: (kind, id, renewMs) =>
      value(keyOf(kind, id), (key) => (renewMs === undefined ? ["get", key] : ["getex", key, "PX", wholeMs(renewMs)])),
    take: (kind, id) => value(keyOf(kind, id), (key) => ["getdel", key]),
    async end({ session, endedAt }, lifeMs) {
      const key = keyOf("ended", session);
      let isKept = false;
      while (!isKept) {
        const before = await raw(key, ["get", key]);
        const end = { session, endedAt: Math.max(endedAt, instantIn(before, key)) };
        const value = sealer.seal(String(end.endedAt), placeOf(key));
        const news = newsText(end, keyPrefix);
        const args = [changesChannel(keyPrefix), value, wholeMs(lifeMs), news, before ?? ""];
        // Another replica may have kept an end since this one read.
        isKept = (await redis.run("end", key, args)) === 1;
      }
    },
    close: () => redis.close(),
  };

  function keyOf(kind: FlowKind, id: string): string {
    return `${keyPrefix}flow:${kind}:${id}`;
  }

  async function value(
    key: string,
    command: (key: string) => readonly [string, ...string[]],
  ): Promise<string | undefined> {
    const found = await raw(key, command(key));
    return found === null ? undefined : sealer.open(found, placeOf(key));
  }

  async function raw(key: string, command: readonly [string, ...string[]]): Promise<string | null> {
    const [found] = await redis.pipeline([command]);
    return parseReply(reply, found, key);
  }

  /** An end that was sealed with a key which is gone must not keep a session from ending. */
  function instantIn(sealed: string | null, key: string): number {
    try {
      return (sealed !== null && Number(sealer.open(sealed, placeOf(key)))) || 0;
    } catch {
      return 0;
    }
  }
}

/** Binds the seal to the key alone: a record has no version to bind it to. */
function placeOf(key: string) {
  return { key, field: "flow", version: "" } as const;
}
