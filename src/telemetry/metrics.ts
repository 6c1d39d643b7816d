import type { LoginMetrics } from "../connect/metrics.ts";
import type { RevocationMetrics } from "../providers/metrics.ts";
import type { SessionSizes } from "../sessions/metrics.ts";

/** Where grants begin and end at their provider. Upstreams other than the configured ones are not counted. */
export type GrantMetrics = LoginMetrics & RevocationMetrics;

/** How full the caches are, asked when somebody wants to know. */
export interface SizeMetrics extends SessionSizes {
  tokens(upstream: string, size: () => number): void;
  /** Grants whose refreshes have been failing for an hour. */
  failing(upstream: string, count: () => number): void;
}
