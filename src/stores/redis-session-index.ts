import { z } from "zod";
import type { RedisConnection } from "./redis-connection.ts";
import { parseReply, wholeMs } from "./redis-rows.ts";
import { type SessionIndex, type SessionName, sessionNameId } from "./session-index.ts";

interface RedisSessionIndexDeps {
  readonly redis: Pick<RedisConnection, "pipeline">;
  readonly keyPrefix: string;
}

const members = z.array(z.string());

/**
 * Names in Redis or Valkey, one set of session hashes for each: `<prefix>sessions:<hash of the name>`. A set lives as
 * long as the longest of its sessions.
 */
export function createRedisSessionIndex({ redis, keyPrefix }: RedisSessionIndexDeps): SessionIndex {
  return {
    async add(name, session, lifeMs) {
      const [key, life] = [keyOf(name), wholeMs(lifeMs)];
      await redis.pipeline([
        ["sadd", key, session],
        ["pexpire", key, life, "NX"],
        ["pexpire", key, life, "GT"],
      ]);
    },

    async find(name) {
      const key = keyOf(name);
      const [found] = await redis.pipeline([["smembers", key]]);
      return parseReply(members, found, key);
    },

    async remove(name, sessions) {
      await redis.pipeline([["srem", keyOf(name), ...sessions]]);
    },
  };

  function keyOf(name: SessionName): string {
    return `${keyPrefix}sessions:${sessionNameId(name)}`;
  }
}
