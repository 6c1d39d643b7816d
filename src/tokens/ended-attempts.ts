import { LRUCache } from "lru-cache";
import { upTo } from "../platform/lru-options.ts";
import { type GrantKey, grantId } from "../stores/grant.ts";
import type { EarlierAttempts } from "../stores/token-store.ts";

/**
 * Attempts of this process that ended without tokens and left their marker, as the refresh token may have been used.
 * Nobody will commit what came of them: it is not worth waiting for, as it is for another replica's.
 */
export interface EndedAttempts {
  /** One more ended, after `earlier` others. */
  add(key: GrantKey, version: string, earlier: EarlierAttempts | undefined): void;
  /** The store may have lost their markers: what it says from now on may be others'. */
  clear(): void;
  /** Whether all the earlier attempts are such. */
  areAll(key: GrantKey, version: string, earlier: EarlierAttempts): boolean;
}

const maxGrants = 10_000;

export function createEndedAttempts(): EndedAttempts {
  const ended = new LRUCache<string, { readonly version: string; readonly count: number }>(upTo(maxGrants));
  const areAll: EndedAttempts["areAll"] = (key, version, { count }) => {
    const known = ended.get(grantId(key));
    return known?.version === version && known.count === count;
  };
  return {
    add(key, version, earlier) {
      if (earlier === undefined || areAll(key, version, earlier))
        ended.set(grantId(key), { version, count: (earlier?.count ?? 0) + 1 });
    },
    clear: () => ended.clear(),
    areAll,
  };
}
