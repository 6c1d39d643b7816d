import type { Deadline } from "../platform/deadline.ts";
import type { Change, SessionEnd } from "../stores/token-store.ts";
import type { GrantLook } from "../tokens/look.ts";
import type { Owner } from "../tokens/owner.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import type { EndedSessions } from "./ended-sessions.ts";
import type { MintLook } from "./mint-look.ts";
import type { Minter } from "./minter.ts";

/** How a session stands at an upstream. */
export type UpstreamLook = (GrantLook & { readonly by: "grant" }) | (MintLook & { readonly by: "mint" });

export interface UpstreamTokens extends Omit<TokenManager, "look"> {
  /** What a request would find, without any effect. Never rejects. */
  look(owner: Owner, upstream: string, deadline: Deadline): Promise<UpstreamLook>;
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
  const look: UpstreamTokens["look"] = async (owner, upstream, deadline) => {
    const minter = minters.get(upstream);
    return minter === undefined
      ? { by: "grant", ...(await grants.look(owner, upstream, deadline)) }
      : { by: "mint", ...(await minter.look(owner, deadline)) };
  };
  if (minters.size === 0) return { ...grants, look, endSession, heard };
  return {
    ...grants,
    look,
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
