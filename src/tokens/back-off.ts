/** What a back-off is computed from. */
export interface BackOffInput {
  /**
   * The refresh token may have been used: it is presented again only in the hope that the provider has not noticed, or
   * has a grace.
   */
  readonly maybeUsed: boolean;
  /**
   * The provider never rotates (its presentation harmed nothing), or left the token in place the last time, as far as
   * this process has seen; or nothing is known.
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
 * How long nobody presents a refresh token after it failed, ms. Surely unused: 1 s, doubled up to a minute; and so
 * where the last answer left the token in place. Perhaps used: 5 s, doubled up to five minutes, but inside a known
 * grace never so long that the grace would be over, hold-off included. At a provider that never rotates, what may have
 * been used is as good as before: a second at most, since the call that hung has spared the provider already; a failure
 * that comes at once still backs off ever longer. At least what the provider asked for; up to a tenth more.
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
