import type { LoginMetrics } from "../connect/metrics.ts";
import type { RevocationMetrics } from "../providers/metrics.ts";
import type { SessionSizes } from "../sessions/metrics.ts";
import type { TokenManager } from "../tokens/token-manager.ts";

/** Counts how grants begin and end at their providers, for the configured upstreams alone. */
export type GrantMetrics = LoginMetrics & RevocationMetrics;

/** How full the caches are, read whenever the metrics are collected. */
export interface SizeMetrics extends SessionSizes {
  /** How many tokens are held for each upstream, and how many of its grants have been failing. */
  tokens(tokens: Pick<TokenManager, "held" | "failing">): void;
}
