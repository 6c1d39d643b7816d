import type { Redis } from "ioredis";
import { type GrantKey, toolhiveSession } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";

/** With a hash tag, as in Kubernetes, and without one. */
export const prefixes = ["thv:auth:{shop:crm}:", "thv-local:"] as const;

/** The store with the sessions of other tests, whose hashes become the `tsid`s of ToolHive's. */
export function underToolhive(store: TokenStore): TokenStore {
  const named = (key: GrantKey): GrantKey => ({ ...key, session: toolhiveSession(key.session) });
  return {
    ...store,
    read: (key) => store.read(named(key)),
    peek: (key) => store.peek(named(key)),
    put: (key, ...rest) => store.put(named(key), ...rest),
    acquire: (key, ...rest) => store.acquire(named(key), ...rest),
    renew: (key, ...rest) => store.renew(named(key), ...rest),
    release: (key, ...rest) => store.release(named(key), ...rest),
    commit: (key, ...rest) => store.commit(named(key), ...rest),
    refuse: (key, ...rest) => store.refuse(named(key), ...rest),
    reject: (key, ...rest) => store.reject(named(key), ...rest),
    revoke: (key, ...rest) => store.revoke(named(key), ...rest),
    list: (session, ...rest) => store.list(toolhiveSession(session), ...rest),
  };
}

/** Where a grant's row and our hash beside it are. */
export function placesOf(prefix: string, { session, upstream }: GrantKey): { row: string; hash: string } {
  const row = `${prefix}upstream:${session.slice(44)}:${upstream}`;
  return { row, hash: prefix.includes("{") ? `${row}:bearerswap` : `bearerswap:{${row}}` };
}

/** All of a hash, of a set or of a text, with its life. */
export async function everything(client: Redis, key: string): Promise<string | null> {
  return (await client.dumpBuffer(key))?.toString("hex") ?? null;
}
