import { LRUCache } from "lru-cache";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { AccessToken } from "./access-token.ts";

/** The access tokens this process holds: `maxEntries` for each upstream, the least recently used go first. */
export interface TokenCache {
  /** Synchronous and without allocation: the hot path. */
  get(session: string, upstream: string): AccessToken | undefined;
  /** The same for somebody who only looks: it does not count as use. */
  peek(session: string, upstream: string): AccessToken | undefined;
  set(key: GrantKey, token: AccessToken): void;
  delete(key: GrantKey): void;
  /** Tokens held for an upstream. */
  size(upstream: string): number;
  /** Keeps the tokens of these upstreams, and drops those of all others; of none it takes tokens any more. */
  keepOnly(upstreamNames: Iterable<string>): void;
  /** Makes room for the tokens of a further upstream, or drops those that are held for it. */
  renew(upstream: string): void;
  /** Changes how many are held for each upstream. */
  resize(maxEntries: number): void;
}

export function createTokenCache(upstreamNames: Iterable<string>, initialMax: number): TokenCache {
  const caches = new Map<string, LRUCache<string, AccessToken>>();
  let maxEntries = initialMax;
  for (const upstream of upstreamNames) renew(upstream);
  return {
    get: (session, upstream) => caches.get(upstream)?.get(session, plainGet),
    peek: (session, upstream) => caches.get(upstream)?.peek(session),
    set: (key, token) => void caches.get(key.upstream)?.set(key.session, token),
    delete: (key) => void caches.get(key.upstream)?.delete(key.session),
    size: (upstream) => caches.get(upstream)?.size ?? 0,
    keepOnly(names) {
      const kept = new Set(names);
      for (const upstream of caches.keys()) if (!kept.has(upstream)) caches.delete(upstream);
    },
    renew,
    resize(next) {
      if (next === maxEntries) return;
      maxEntries = next;
      for (const [upstream, held] of caches) {
        const resized = renew(upstream);
        for (const session of held.rkeys()) {
          const token = held.peek(session);
          if (token !== undefined) resized.set(session, token);
        }
      }
    },
  };

  function renew(upstream: string): LRUCache<string, AccessToken> {
    const made = new LRUCache<string, AccessToken>(upTo(maxEntries));
    caches.set(upstream, made);
    return made;
  }
}
