import type { LoginMetrics } from "../connect/metrics.ts";
import type { RevocationMetrics } from "../providers/metrics.ts";
import type { SessionSizes } from "../sessions/metrics.ts";
import type { TokenManager } from "../tokens/token-manager.ts";

/** Where grants begin and end at their provider. Upstreams other than the configured ones are not counted. */
export type GrantMetrics = LoginMetrics & RevocationMetrics;

/** How full the caches are, asked when somebody wants to know. */
export interface SizeMetrics extends SessionSizes {
  /** What is held for each upstream, and which of its grants have been failing. */
  tokens(tokens: Pick<TokenManager, "held" | "failing">): void;
}
