import { LRUCache } from "lru-cache";
import { upTo } from "../platform/lru-options.ts";
import { type GrantKey, grantId } from "../stores/grant.ts";
import type { EarlierAttempts } from "../stores/token-store.ts";

/**
 * Remembers the attempts of this process that ended without tokens and left their marker, because the refresh token may
 * have been used. None of them will commit any more, so nobody has to hold off for them as for another replica's.
 */
export interface EndedAttempts {
  /** Notes that one more attempt ended, after `earlier` others. */
  add(key: GrantKey, version: string, earlier: EarlierAttempts | undefined): void;
  /** Forgets them: after a gap the store may have lost their markers, and those it shows may be other replicas'. */
  clear(): void;
  /** Whether all the earlier attempts are among them. */
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
