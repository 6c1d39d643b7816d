import QuickLRU from "quick-lru";
import type { AccessToken } from "./access-token.ts";
import type { GrantKey } from "./grant.ts";

/** The access tokens this process holds; the least recently used go first, between one and two times `maxEntries` are kept for each upstream. */
export interface TokenCache {
  /** Synchronous and without allocation: the hot path. */
  get(session: string, upstream: string): AccessToken | undefined;
  set(key: GrantKey, token: AccessToken): void;
  delete(key: GrantKey): void;
}

export function createTokenCache(upstreams: Iterable<string>, maxEntries: number): TokenCache {
  const caches = new Map<string, QuickLRU<string, AccessToken>>();
  for (const upstream of upstreams) caches.set(upstream, new QuickLRU({ maxSize: maxEntries }));
  return {
    get: (session, upstream) => caches.get(upstream)?.get(session),
    set: (key, token) => void caches.get(key.upstream)?.set(key.session, token),
    delete: (key) => void caches.get(key.upstream)?.delete(key.session),
  };
}
