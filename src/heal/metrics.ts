/** How a request ended that Envoy tried again. */
export type RetryEnding = "healed" | "unchanged" | "denied";

/** Counts what healing does at each upstream. */
export interface HealMetrics {
  /** A request was tried again: with another token, with its own, or it was answered in place of the API. */
  retried(upstream: string, ending: RetryEnding): void;
}
