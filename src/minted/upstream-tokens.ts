import type { TokenManager } from "../tokens/token-manager.ts";
import type { Minter } from "./minter.ts";

/** The tokens of all upstreams: of grants, and of those that are minted. Nobody who asks has to know which is which. */
export function createUpstreamTokens(grants: TokenManager, minters: ReadonlyMap<string, Minter>): TokenManager {
  if (minters.size === 0) return grants;
  return {
    ...grants,
    cached(owner, upstream) {
      const minter = minters.get(upstream);
      return minter === undefined ? grants.cached(owner, upstream) : minter.cached(owner);
    },
    fresh(owner, upstream, deadline) {
      return minters.get(upstream)?.fresh(owner, deadline) ?? grants.fresh(owner, upstream, deadline);
    },
    held: (upstream) => minters.get(upstream)?.held() ?? grants.held(upstream),
    async settled() {
      await Promise.all([grants.settled(), ...[...minters.values()].map((minter) => minter.settled())]);
    },
  };
}
