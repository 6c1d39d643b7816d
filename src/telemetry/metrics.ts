import type { LoginMetrics, StepUpMetrics } from "../connect/metrics.ts";
import type { RegistrationMetrics, RevocationMetrics } from "../providers/metrics.ts";
import type { TokenManager } from "../tokens/token-manager.ts";

/** Counts how clients and grants begin at their providers, and how grants end there, for the configured upstreams alone. */
export type GrantMetrics = LoginMetrics & StepUpMetrics & RevocationMetrics & RegistrationMetrics;

/** How full the caches are, read whenever the metrics are collected. */
export interface SizeMetrics {
  /** How many tokens are held for each upstream, and how many of its grants have been failing. */
  tokens(tokens: Pick<TokenManager, "held" | "failing">): void;
  /** How many sessions are remembered, by the source. Of a source that is not named any more there are none. */
  sessions(sizes: ReadonlyMap<string, () => number>): void;
}

/** How a reload of the configuration ended. */
export type ReloadResult = "loaded" | "unchanged" | "failed";

/** Which configuration is in force. */
export interface ConfigMetrics {
  reloaded(result: ReloadResult): void;
  /** @param wallMs when it was loaded, epoch ms */
  inForce(wallMs: number): void;
}
