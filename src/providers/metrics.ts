/** What came of asking a provider to end a token: it did, it did not say so, or it cannot be asked. */
export type RevocationEnding = "done" | "unconfirmed" | "none";

/** Where grants end at their provider. */
export interface RevocationMetrics {
  revocation(upstream: string, ending: RevocationEnding): void;
}
