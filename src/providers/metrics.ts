/** What came of asking a provider to end a token: it did so, it did not confirm it, or it cannot be asked. */
export type RevocationEnding = "done" | "unconfirmed" | "none";

/** Counts the tokens that are to be ended at their provider. */
export interface RevocationMetrics {
  revocation(upstream: string, ending: RevocationEnding): void;
}
