import type { DenyReason } from "./verdict.ts";

/**
 * What became of a Check: why it was denied, how it was let through, or that we answered it ourselves, with a page.
 */
export type CheckOutcome = DenyReason | "allowed" | "passthrough" | "connect";

/** Counts how Checks are answered. It is on the path of every request. */
export interface CheckMetrics {
  /** One Check was answered, `durationMs` after it arrived; `upstream` is undefined where none was found for it. */
  answered(upstream: string | undefined, outcome: CheckOutcome, durationMs: number): void;
}
