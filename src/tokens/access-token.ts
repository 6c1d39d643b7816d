import type { Secret } from "../platform/secret.ts";
import type { StoredAccess } from "../stores/grant.ts";

/**
 * An access token in this process. Instants are on the monotonic clock, `Infinity` where the provider stated no expiry.
 */
export interface AccessToken {
  readonly token: Secret;
  /** The grant's version it came with. */
  readonly version: string;
  /** The grant's subject. */
  readonly subject: string | undefined;
  readonly expiresAt: number;
  /** From here on a request waits for a refresh. */
  readonly staleAt: number;
  /** From here on a request starts a refresh and is answered with this token. */
  readonly aheadAt: number;
  /** When the store said so: just before it was asked. */
  readonly confirmedAt: number;
  /** Until then the store is not asked again although it should be: it has just failed to answer. Monotonic ms. */
  unaskedUntil: number;
  /** Room for the caller to keep what it found out about this token: whether it can stand in its header. */
  injectable?: boolean | undefined;
}

/** When tokens count as stale and when they are refreshed ahead. */
export interface FreshnessConfig {
  /**
   * Life that a served token has left, ms; at most a fifth of the token's life counts, so that short-lived tokens work.
   */
  readonly minRemainingMs: number;
  /** Life left at which a refresh starts in the background, ms; at most half of the token's life counts. */
  readonly aheadMs: number;
}

/** A token with this much life left, in ms, is served where no fresher one can be had. */
export const usableMs = 1_000;

/**
 * Places a token's life on the monotonic clock.
 * @param from the instant from which `remainingMs` counts: just before the store or the provider was asked
 * @param jitter in [0, 1): spreads the refreshes ahead of sessions that began together
 */
export function placeAccessToken(
  access: StoredAccess,
  grant: { readonly version: string; readonly subject?: string | undefined },
  from: number,
  config: FreshnessConfig,
  jitter: number,
): AccessToken {
  const expiresAt = access.remainingMs === undefined ? Number.POSITIVE_INFINITY : from + access.remainingMs;
  const lifeMs = access.lifeMs ?? access.remainingMs ?? Number.POSITIVE_INFINITY;
  const minRemainingMs = Math.min(config.minRemainingMs, lifeMs / 5);
  const aheadMs = Math.max(minRemainingMs, Math.min(config.aheadMs, lifeMs / 2) * (1 - jitter / 4));
  return {
    token: access.token,
    version: grant.version,
    subject: grant.subject,
    expiresAt,
    staleAt: expiresAt - minRemainingMs,
    aheadAt: expiresAt - aheadMs,
    confirmedAt: from,
    unaskedUntil: Number.NEGATIVE_INFINITY,
    injectable: undefined,
  };
}

/**
 * Until when the token may be served while no fresher one can be had: never shorter than it is fresh, as tokens of a
 * second or two would be of no use.
 */
export function usableUntil(token: AccessToken): number {
  return Math.max(token.staleAt, token.expiresAt - usableMs);
}
