/** What came of asking a provider to end a token: it did so, it did not confirm it, or it cannot be asked. */
export type RevocationEnding = "done" | "unconfirmed" | "none";

/** What came of registering a client of ours at an authorization server. */
export type RegistrationEnding = "registered" | "failed";

/** Counts the registrations of clients. */
export interface RegistrationMetrics {
  registration(upstream: string, ending: RegistrationEnding): void;
}

/** Counts the tokens that are to be ended at their provider. */
export interface RevocationMetrics {
  revocation(upstream: string, ending: RevocationEnding): void;
}
