import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import type { GrantKey } from "../../../src/stores/grant.ts";
import { createRedisRows } from "../../../src/stores/redis-rows.ts";
import { createRowCodec } from "../../../src/stores/row-codec.ts";
import type { TokenStore } from "../../../src/stores/token-store.ts";

const keyPrefix = "bearerswap:";
const script = (name: string) =>
  ["row", name].map((part) => readFileSync(new URL(`${part}.lua`, import.meta.url), "utf8")).join("\n");
const scripts = { acquire: script("acquire"), release: script("release"), refuse: script("refuse") };

/** A store on the same Redis that acquires, releases and refuses as the version before does, by its scripts and with its arguments. Its commits were the same; its logins replaced whatever was there, as `grants put` still does. */
export function storeBefore(now: TokenStore, client: Redis): TokenStore {
  const rows = createRedisRows(createRowCodec(undefined));
  const nameOf = ({ session, upstream }: GrantKey) => `${keyPrefix}{${session}}:grant:${upstream}`;
  const run = (name: keyof typeof scripts, key: GrantKey, args: readonly string[]) =>
    client.eval(scripts[name], 1, nameOf(key), ...args);
  return {
    ...now,
    async acquire(key, { attempt, seen, leaseMs, usableMs, again }) {
      const reply = await run("acquire", key, [attempt, seen, String(leaseMs), String(usableMs), again ? "1" : ""]);
      // Its rows say nothing of how long refreshes have been failing.
      return rows.acquireResult(nameOf(key), Array.isArray(reply) && reply.length > 2 ? [...reply, ""] : reply);
    },
    async release(key, { attempt, unused, backOffMs }) {
      return (await run("release", key, [`${keyPrefix}changes`, attempt, unused ? "1" : "", String(backOffMs)])) === 1;
    },
    async refuse(key, from, why) {
      return (await run("refuse", key, [`${keyPrefix}changes`, from, why])) as
        | "dead"
        | "superseded"
        | "revoked"
        | "absent";
    },
  };
}
