import type { Clock } from "../platform/clock.ts";

export interface CoherenceConfig {
  /** How long a cached token may differ from the store without this process knowing, ms. */
  readonly maxStalenessMs: number;
  /** How long cached tokens are served where the store cannot be asked, ms. */
  readonly maxOutageMs: number;
}

/**
 * Whether this process would know of a change that another one made: while it hears its own heartbeats, it has heard
 * every change published before them. Invariant: a cached entry is served without asking the store for at most
 * `maxStaleness` after the store changed. Otherwise a dead subscription would keep a revoked session alive.
 */
export interface Coherence {
  /**
   * Whether an entry that the store confirmed then (monotonic ms: just before it was asked) may be served now.
   * Synchronous and cheap: the hot path.
   */
  isCurrent(confirmedAt: number, now: number): boolean;
  /** Whether that entry may be served although the store cannot be asked. */
  isBearable(confirmedAt: number, now: number): boolean;
  heard(at: number): void;
  gap(): void;
  /** When the last gap was, monotonic ms; the first one, at start, does not count. */
  lastGapAt(): number;
}

/**
 * @param config may change, and counts as it is when it is looked at
 * @param isToldAll false where others write to the store who tell nobody: then heartbeats vouch for nothing
 */
export function createCoherence(
  config: CoherenceConfig,
  clock: Pick<Clock, "monotonicMs">,
  isToldAll = true,
): Coherence {
  let heardAt = Number.NEGATIVE_INFINITY;
  /** Changes since then are heard; those before may have been missed. */
  let unbrokenSince = Number.POSITIVE_INFINITY;
  let gapAt = Number.NEGATIVE_INFINITY;

  return {
    isCurrent: (confirmedAt, now) =>
      now < confirmedAt + config.maxStalenessMs ||
      (isToldAll && confirmedAt >= unbrokenSince && now < heardAt + config.maxStalenessMs),
    isBearable: (confirmedAt, now) =>
      now <
      Math.max(confirmedAt, isToldAll && confirmedAt >= unbrokenSince ? heardAt : confirmedAt) + config.maxOutageMs,
    heard(at) {
      // Counted from the arrival, not the sending: the subscription may have begun only in between.
      if (unbrokenSince === Number.POSITIVE_INFINITY) unbrokenSince = clock.monotonicMs();
      heardAt = Math.max(heardAt, at);
    },
    gap() {
      unbrokenSince = Number.POSITIVE_INFINITY;
      if (heardAt > Number.NEGATIVE_INFINITY) gapAt = clock.monotonicMs();
    },
    lastGapAt: () => gapAt,
  };
}
