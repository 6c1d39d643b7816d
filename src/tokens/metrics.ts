/**
 * How a refresh ended. `refreshed`: its tokens are stored. `adopted`: another attempt's are used. `revoked`: the
 * session was ended meanwhile. The rest: as the provider's answer was classified.
 */
export type RefreshEnding = "refreshed" | "adopted" | "revoked" | "refused" | "misconfigured" | "transient" | "unknown";

/**
 * What started a refresh: a request without a fresh token, a token near its end, somebody who asked for it, an API that
 * rejected a token, or a token of another upstream, which is asked for by an ID token.
 */
export type RefreshTrigger = "expired" | "ahead" | "asked" | "rejected" | "id_token";

/**
 * What a rejection of an access token led to. `rejected`: the token is served no more. `known`: it was rejected before.
 * `held`: its predecessor was rejected too, and nothing changes for a while. `superseded`: there is another token, or
 * none, by now. `unavailable`: the store could not be told.
 */
export type RejectionEnding = "rejected" | "known" | "held" | "superseded" | "unavailable";

/** Counts what the refresh protocol does at each upstream. Every call is cheap and never throws. */
export interface TokenMetrics {
  /** One presentation of a refresh token ended, `durationMs` after it began. */
  refreshed(upstream: string, ending: RefreshEnding, trigger: RefreshTrigger, durationMs: number): void;
  /** An API answered 401 to one of our tokens. */
  rejection(upstream: string, ending: RejectionEnding): void;
  /** Flights under way change by one. */
  flights(upstream: string, change: 1 | -1): void;
  /** Requests waiting for a flight change by one. */
  waiters(upstream: string, change: 1 | -1): void;
  /** Counts something that happened once. */
  count(event: TokenEvent, upstream: string): void;
  breaker(upstream: string, state: "closed" | "open" | "half_open"): void;
}

/**
 * `lease_busy`: another attempt held the lease. `lease_lost`: the lease was gone before its refresh was over.
 * `adopted`: a newer token of another replica was served. `commit_retry`: the store did not take a write, which is
 * tried again. `recommit`: the store had lost a write, which was written again. `presented_again`: a refresh token was
 * presented although an earlier attempt may have used it. `dead`: the provider refused a grant. `back_off`: a failed
 * refresh made all replicas wait. `not_dispatched`: the last look forbade the sending.
 * `cache_hit`, `cache_miss`: a token was, or was not, in this process. `invalidated`: a change elsewhere dropped a
 * cached token. `stale_served`: a token was served although the store could not be asked. `unexpected_rotation`: a
 * provider that is said never to rotate answered with another refresh token.
 */
export type TokenEvent =
  | "lease_busy"
  | "lease_lost"
  | "adopted"
  | "commit_retry"
  | "recommit"
  | "presented_again"
  | "dead"
  | "back_off"
  | "not_dispatched"
  | "cache_hit"
  | "cache_miss"
  | "invalidated"
  | "stale_served"
  | "unexpected_rotation";
