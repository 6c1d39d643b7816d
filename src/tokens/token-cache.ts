import { LRUCache } from "lru-cache";
import type { AccessToken } from "./access-token.ts";
import type { GrantKey } from "./grant.ts";

/** The access tokens this process holds, at most `maxEntries` for each upstream; the least recently used go first. */
export interface TokenCache {
  /** Synchronous and without allocation: the hot path. */
  get(session: string, upstream: string): AccessToken | undefined;
  set(key: GrantKey, token: AccessToken): void;
  delete(key: GrantKey): void;
}

export function createTokenCache(upstreams: Iterable<string>, maxEntries: number): TokenCache {
  const caches = new Map<string, LRUCache<string, AccessToken>>();
  for (const upstream of upstreams) caches.set(upstream, new LRUCache({ max: maxEntries }));
  return {
    get: (session, upstream) => caches.get(upstream)?.get(session),
    set: (key, token) => void caches.get(key.upstream)?.set(key.session, token),
    delete: (key) => void caches.get(key.upstream)?.delete(key.session),
  };
}
