import type { TokenManagerConfig } from "../../src/tokens/token-manager.ts";

/** The configuration's defaults, with a small cache. */
export const managerConfig: TokenManagerConfig = {
  minRemainingMs: 10_000,
  aheadMs: 60_000,
  timeoutMs: 10_000,
  giveUpMs: 60_000,
  holdOffMs: 3_000,
  maxStalenessMs: 5_000,
  maxOutageMs: 300_000,
  cacheEntries: 100,
};
