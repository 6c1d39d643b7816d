import type { Change, SessionEnd } from "../stores/token-store.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import type { EndedSessions } from "./ended-sessions.ts";
import type { Minter } from "./minter.ts";

export interface UpstreamTokens extends TokenManager {
  /**
   * The session was ended: nothing more is minted for what it is now. Throws what the store throws.
   * @param endedAt epoch ms, by the clock of the session's issuer; default: now, by ours
   */
  endSession(session: string, endedAt?: number): Promise<void>;
  /** Tells of what may concern tokens that are minted. */
  heard(news: Change | SessionEnd): void;
}

/** The tokens of all upstreams: of grants, and of those that are minted. Nobody who asks has to know which is which. */
export function createUpstreamTokens(
  grants: TokenManager,
  minters: ReadonlyMap<string, Minter>,
  ended: Pick<EndedSessions, "end" | "heard"> | undefined,
): UpstreamTokens {
  const endSession: UpstreamTokens["endSession"] = async (...end) => ended?.end(...end);
  const heard = (news: Change | SessionEnd) =>
    "endedAt" in news ? ended?.heard(news) : minters.get(news.upstream)?.heard(news);
  if (minters.size === 0) return { ...grants, endSession, heard };
  return {
    ...grants,
    endSession,
    heard,
    cached(owner, upstream) {
      const minter = minters.get(upstream);
      return minter === undefined ? grants.cached(owner, upstream) : minter.cached(owner);
    },
    fresh(owner, upstream, deadline) {
      return minters.get(upstream)?.fresh(owner, deadline) ?? grants.fresh(owner, upstream, deadline);
    },
    rejected: (key, version) => (minters.get(key.upstream) ?? grants).rejected(key, version),
    replacement: (who, upstream, ...rest) => (minters.get(upstream) ?? grants).replacement(who, upstream, ...rest),
    held: (upstream) => minters.get(upstream)?.held() ?? grants.held(upstream),
    async settled() {
      await Promise.all([grants.settled(), ...[...minters.values()].map((minter) => minter.settled())]);
    },
  };
}
