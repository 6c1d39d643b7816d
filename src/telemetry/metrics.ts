import type { LoginMetrics, StepUpMetrics } from "../connect/metrics.ts";
import type { RegistrationMetrics, RevocationMetrics } from "../providers/metrics.ts";
import type { SessionSizes } from "../sessions/metrics.ts";
import type { TokenManager } from "../tokens/token-manager.ts";

/** Counts how clients and grants begin at their providers, and how grants end there, for the configured upstreams alone. */
export type GrantMetrics = LoginMetrics & StepUpMetrics & RevocationMetrics & RegistrationMetrics;

/** How full the caches are, read whenever the metrics are collected. */
export interface SizeMetrics extends SessionSizes {
  /** How many tokens are held for each upstream, and how many of its grants have been failing. */
  tokens(tokens: Pick<TokenManager, "held" | "failing">): void;
}
