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
  /** Whether all sessions get this same token. */
  readonly isOfAll: boolean;
  readonly expiresAt: number;
  /** From here on a request waits for a refresh. */
  readonly staleAt: number;
  /** From here on a request starts, in the background, what is due, and is answered with this token. */
  readonly aheadAt: number;
  /** From here on that is a refresh. Before it is a look at the grant, so that the store does not drop what is in use. */
  readonly refreshAt: number;
  /** The instant just before the store was asked that held this token. */
  readonly confirmedAt: number;
  /** The store has just failed to answer: it is not asked again for this token before this instant, monotonic ms. */
  unaskedUntil: number;
  /** Whether the token can be sent in its header: set by the caller that checks it, so that it checks only once. */
  injectable?: boolean | undefined;
  /** What vouched last for requests with it, by which key, and until when that is given out, epoch ms. */
  proof?:
    | { readonly text: string; readonly keyId: string; readonly untilMs: number; readonly isMcp: boolean }
    | undefined;
}

/** When tokens count as stale and when they are refreshed ahead. */
export interface FreshnessConfig {
  /**
   * A token is fresh while it has this much life left, ms; at most a fifth of its life counts, for short-lived tokens.
   */
  readonly minRemainingMs: number;
  /** A refresh starts in the background when this much life is left, ms; at most half of the token's life counts. */
  readonly aheadMs: number;
}

/** Where no fresher token can be had, one is served until this much of its life is left, ms. */
export const usableMs = 1_000;

/**
 * Converts a token's remaining life to instants on the monotonic clock.
 * @param from the instant from which `remainingMs` counts: just before the store or the provider was asked
 * @param jitter in [0, 1): spreads the background refreshes of sessions that began together
 */
export function placeAccessToken(
  access: StoredAccess,
  grant: { readonly version: string; readonly subject?: string | undefined; readonly isOfAll?: boolean },
  from: number,
  config: FreshnessConfig,
  jitter: number,
): AccessToken {
  const expiresAt = access.remainingMs === undefined ? Number.POSITIVE_INFINITY : from + access.remainingMs;
  const lifeMs = access.lifeMs ?? access.remainingMs ?? Number.POSITIVE_INFINITY;
  const minRemainingMs = Math.min(config.minRemainingMs, lifeMs / 5);
  const aheadMs = Math.max(minRemainingMs, Math.min(config.aheadMs, lifeMs / 2) * (1 - jitter / 4));
  const aheadAt = expiresAt - aheadMs;
  return {
    token: access.token,
    version: grant.version,
    subject: grant.subject,
    isOfAll: grant.isOfAll ?? false,
    expiresAt,
    staleAt: expiresAt - minRemainingMs,
    aheadAt,
    refreshAt: aheadAt,
    confirmedAt: from,
    unaskedUntil: Number.NEGATIVE_INFINITY,
    injectable: undefined,
    proof: undefined,
  };
}

/**
 * The instant until which a token may be served while no fresher one can be had. It is never before `staleAt`: else a
 * token that lives a second or two could not be served at all.
 */
export function usableUntil(token: AccessToken): number {
  return Math.max(token.staleAt, token.expiresAt - usableMs);
}
