/** What a back-off is computed from. */
export interface BackOffInput {
  /**
   * The provider may have redeemed the refresh token: presenting it again works only if it did not, or allows a grace.
   */
  readonly maybeUsed: boolean;
  /**
   * `never`: the provider never rotates, so the presentation harmed nothing. `not_seen`: its last answer to this
   * process left the token in place. `perhaps`: neither is known.
   */
  readonly rotates: "never" | "not_seen" | "perhaps";
  /** Failures in a row before this one. */
  readonly failures: number;
  /** What the provider asked for (`Retry-After`), ms. */
  readonly retryAfterMs: number | undefined;
  /** What is left of the provider's grace for a rotated refresh token, ms; 0 where none is known. */
  readonly graceLeftMs: number;
  /** How long another replica waits, once the back-off is over, before it presents the token, ms. */
  readonly holdOffMs: number;
  /** In [0, 1): spreads grants that failed together. */
  readonly jitter: number;
}

const unusedFirstMs = 1_000;
const unusedLongestMs = 60_000;
const usedFirstMs = 5_000;
const usedLongestMs = 300_000;

/**
 * How long nobody presents a refresh token after a failure, ms; never less than the provider asked for.
 * - Surely unused, or the last answer left the token in place: 1 s, doubled up to a minute.
 * - Perhaps used: 5 s, doubled up to five minutes. Inside a known grace 1 s, doubled up to a minute, but at most half
 *   of the grace that is left after the hold-off (not below 1 s), so that the next presentation still falls into it.
 * - Perhaps used at a provider that never rotates: a second at most, as the token is as good as before.
 *
 * Jitter adds up to a tenth; from the last kind's second it takes up to a tenth.
 */
export function backOffMs({
  maybeUsed,
  rotates,
  failures,
  retryAfterMs = 0,
  graceLeftMs,
  holdOffMs,
  jitter,
}: BackOffInput): number {
  if (maybeUsed && rotates === "never")
    return Math.ceil(Math.max(unusedFirstMs * (1 - jitter / 10), retryAfterMs * (1 + jitter / 10)));
  const doubled = (first: number, longest: number) => Math.min(first * 2 ** Math.min(failures, 16), longest);
  const inGrace = maybeUsed && graceLeftMs > 0;
  const own =
    maybeUsed && !inGrace && rotates === "perhaps"
      ? doubled(usedFirstMs, usedLongestMs)
      : doubled(unusedFirstMs, unusedLongestMs);
  const bounded = inGrace ? Math.min(own, Math.max((graceLeftMs - holdOffMs) / 2, unusedFirstMs)) : own;
  return Math.ceil(Math.max(bounded, retryAfterMs) * (1 + jitter / 10));
}
