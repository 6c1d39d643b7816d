import type { DenyReason } from "./verdict.ts";

/**
 * What became of a Check: why it was denied, how it was let through, or that we answered it ourselves, with a page.
 * `omitted`: it was let through without the token of this upstream.
 */
export type CheckOutcome = DenyReason | "allowed" | "omitted" | "passthrough" | "connect";

/** Counts how Checks are answered. It is on the path of every request. */
export interface CheckMetrics {
  /**
   * One Check was answered, `durationMs` after it arrived; `upstream` is undefined where none was found for it. A Check
   * for several upstreams that is let through is counted for each.
   */
  answered(upstream: string | undefined, outcome: CheckOutcome, durationMs: number): void;
}
