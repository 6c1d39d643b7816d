import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import type { GrantKey } from "../../../src/stores/grant.ts";
import { createRedisRows } from "../../../src/stores/redis-rows.ts";
import { createRowCodec } from "../../../src/stores/row-codec.ts";
import type { CommitResult, PutResult, RefuseResult, TokenStore } from "../../../src/stores/token-store.ts";

const keyPrefix = "bearerswap:";
const channel = `${keyPrefix}changes`;
const script = (name: string) =>
  ["row", "write", name].map((part) => readFileSync(new URL(`${part}.lua`, import.meta.url), "utf8")).join("\n");
const scripts = {
  acquire: script("acquire"),
  commit: script("commit"),
  put: script("put"),
  refuse: script("refuse"),
  release: script("release"),
};

/** A store on the same Redis that writes as the version before does, by its scripts and with its arguments. */
export function storeBefore(now: TokenStore, client: Redis): TokenStore {
  const rows = createRedisRows(createRowCodec(undefined));
  const nameOf = ({ session, upstream }: GrantKey) => `${keyPrefix}{${session}}:grant:${upstream}`;
  const run = (name: keyof typeof scripts, key: GrantKey, args: readonly string[]) =>
    client.eval(scripts[name], 1, nameOf(key), ...args);
  return {
    ...now,
    async put(key, write, over) {
      const args = [over === undefined ? "1" : "", over ?? "", channel, ...rows.writeArgs(nameOf(key), write)];
      return (await run("put", key, args)) as PutResult;
    },
    async acquire(key, { attempt, seen, leaseMs, usableMs, overlapMs = 0, again }) {
      const overlap = String(Math.min(overlapMs, 1e12));
      const args = [attempt, seen, String(leaseMs), String(usableMs), again ? "1" : "", overlap];
      const reply = (await run("acquire", key, args)) as unknown[];
      // It did not know of rejected access tokens, which its rows end with now.
      return rows.acquireResult(nameOf(key), reply.length > 2 ? [...reply, ""] : reply);
    },
    async commit(key, from, write, quietMs = 0) {
      const args = [from, String(quietMs), channel, ...rows.writeArgs(nameOf(key), write)];
      return (await run("commit", key, args)) as CommitResult;
    },
    async release(key, { attempt, unused, backOffMs, answerMs = 0 }) {
      const args = [channel, attempt, unused ? "1" : "", String(Math.ceil(backOffMs)), String(Math.ceil(answerMs))];
      return (await run("release", key, args)) === 1;
    },
    async refuse(key, from, why) {
      return (await run("refuse", key, [channel, from, why])) as RefuseResult;
    },
  };
}
