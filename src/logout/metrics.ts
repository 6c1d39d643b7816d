/** Counts the logout tokens that issuers send. */
export interface LogoutMetrics {
  /** One logout token was carried out, refused, or has to be sent again. */
  ended(outcome: "done" | "invalid" | "unavailable"): void;
}
