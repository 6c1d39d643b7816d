import { createLruCache, type LruCache } from "../platform/lru-cache.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { AccessToken } from "./access-token.ts";

/**
 * The access tokens this process holds; the least recently used go first, between one and two times `maxEntries` are
 * kept for each upstream.
 */
export interface TokenCache {
  /** Synchronous and without allocation: the hot path. */
  get(session: string, upstream: string): AccessToken | undefined;
  set(key: GrantKey, token: AccessToken): void;
  delete(key: GrantKey): void;
  /** Tokens held for an upstream, `maxEntries` at most. */
  size(upstream: string): number;
}

export function createTokenCache(upstreams: Iterable<string>, maxEntries: number): TokenCache {
  const caches = new Map<string, LruCache<AccessToken>>();
  for (const upstream of upstreams) caches.set(upstream, createLruCache(maxEntries));
  return {
    get: (session, upstream) => caches.get(upstream)?.get(session),
    set: (key, token) => void caches.get(key.upstream)?.set(key.session, token),
    delete: (key) => void caches.get(key.upstream)?.delete(key.session),
    size: (upstream) => caches.get(upstream)?.size() ?? 0,
  };
}
