import { LRUCache } from "lru-cache";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { AccessToken } from "./access-token.ts";

/** The access tokens this process holds: `maxEntries` for each upstream, the least recently used go first. */
export interface TokenCache {
  /** Synchronous and without allocation: the hot path. */
  get(session: string, upstream: string): AccessToken | undefined;
  set(key: GrantKey, token: AccessToken): void;
  delete(key: GrantKey): void;
  /** Tokens held for an upstream. */
  size(upstream: string): number;
}

export function createTokenCache(upstreamNames: Iterable<string>, maxEntries: number): TokenCache {
  const caches = new Map<string, LRUCache<string, AccessToken>>();
  for (const upstream of upstreamNames) caches.set(upstream, new LRUCache(upTo(maxEntries)));
  return {
    get: (session, upstream) => caches.get(upstream)?.get(session, plainGet),
    set: (key, token) => void caches.get(key.upstream)?.set(key.session, token),
    delete: (key) => void caches.get(key.upstream)?.delete(key.session),
    size: (upstream) => caches.get(upstream)?.size ?? 0,
  };
}
