import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { upTo } from "../platform/lru-options.ts";
import { type GrantKey, grantId } from "../stores/grant.ts";

/**
 * Counts grants whose refreshes have been failing for an hour or more, of those that this process was asked for lately.
 * A refusal in words that we do not know looks like any other failure: without this count, the user would be answered
 * 503 for ever and no operator would notice.
 */
export interface FailingGrants {
  /** What the store has just said of a grant; undefined where its refreshes do not fail, or there is none. */
  saw(key: GrantKey, failingMs: number | undefined): void;
  count(upstream: string): number;
  /** The upstream was changed or removed: what was seen of its grants says nothing any more. */
  forget(upstream: string): void;
}

interface FailingGrant {
  readonly upstream: string;
  readonly since: number;
  readonly seenAt: number;
}

const longMs = 60 * 60 * 1_000;
/**
 * A grant that was not asked for in this time is not counted: no user waits for it, and another replica may have
 * refreshed it.
 */
const lately = 15 * 60 * 1_000;
const maxGrants = 10_000;

export function createFailingGrants(clock: Pick<Clock, "monotonicMs">): FailingGrants {
  const failing = new LRUCache<string, FailingGrant>(upTo(maxGrants));
  return {
    saw(key, failingMs) {
      if (failingMs === undefined) {
        if (failing.size > 0) failing.delete(grantId(key));
        return;
      }
      const now = clock.monotonicMs();
      failing.set(grantId(key), { upstream: key.upstream, since: now - failingMs, seenAt: now });
    },
    count(upstream) {
      const now = clock.monotonicMs();
      let count = 0;
      for (const grant of failing.values())
        if (grant.upstream === upstream && now - grant.since >= longMs && now - grant.seenAt < lately) count += 1;
      return count;
    },
    forget(upstream) {
      for (const [id, grant] of [...failing.entries()]) if (grant.upstream === upstream) failing.delete(id);
    },
  };
}
