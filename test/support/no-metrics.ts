import type { StoreMetrics } from "../../src/stores/metrics.ts";
import type { TokenMetrics } from "../../src/tokens/metrics.ts";

/** Counts nothing. */
export const noStoreMetrics: StoreMetrics = { command() {} };

/** Counts nothing. */
export const noTokenMetrics: TokenMetrics = {
  refreshed() {},
  rejection() {},
  flights() {},
  waiters() {},
  count() {},
  breaker() {},
};
