import type { DenyReason } from "../check/verdict.ts";

/** How a refresh ended: `refreshed` with tokens stored, `adopted` somebody else's, the rest as the provider's answer was classed. */
export type RefreshEnding = "refreshed" | "adopted" | "revoked" | "refused" | "misconfigured" | "transient" | "unknown";

/** What started a refresh: a request that needs a token, or one that was answered with a token near its end. */
export type RefreshTrigger = "expired" | "ahead" | "asked";

/** Where the refresh protocol stands with one upstream. Every call is cheap and never throws. */
export interface TokenMetrics {
  /** One presentation of a refresh token ended, `durationMs` after it began. */
  refreshed(upstream: string, ending: RefreshEnding, trigger: RefreshTrigger, durationMs: number): void;
  /** Flights under way change by one. */
  flights(upstream: string, change: 1 | -1): void;
  /** Requests waiting for a flight change by one. */
  waiters(upstream: string, change: 1 | -1): void;
  /** Counts something that happened once. */
  count(event: TokenEvent, upstream: string): void;
  breaker(upstream: string, state: "closed" | "open" | "half_open"): void;
}

/**
 * `lease_busy`: another attempt held the lease. `lease_lost`: a renewal came too late. `adopted`: a newer token of another replica was served. `commit_retry`: a commit
 * had to be written again as the store did not take it. `recommit`: a failover had brought the predecessor back. `presented_again`: a refresh token was
 * presented although an earlier attempt may have used it. `dead`: the provider refused a grant. `back_off`: a failed refresh made all replicas wait.
 * `not_dispatched`: the lease was too short when the request would have been sent. `cache_hit`, `cache_miss`: a token was, or was not, in this process.
 * `invalidated`: a change elsewhere dropped a cached token. `stale_served`: a token was served although the store could not be asked. `unexpected_rotation`: a provider
 * that is said never to rotate answered with another refresh token.
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

/** How the store answers. */
export interface StoreMetrics {
  /** One command ended; `code` is the error's, where it failed. */
  command(command: string, durationMs: number, code: string | undefined): void;
}

/** What became of a Check: why it was denied, how it was let through, or that we answered ourselves to connect an account. */
export type CheckOutcome = DenyReason | "allowed" | "passthrough" | "connect";

/** How Checks are answered. On the path of every request. */
export interface CheckMetrics {
  /** One Check was answered, `durationMs` after it arrived; `upstream` is undefined where none was found for it. */
  answered(upstream: string | undefined, outcome: CheckOutcome, durationMs: number): void;
}

/** How the servers of session issuers answer. */
export interface KeyMetrics {
  /** One request for the keys or the metadata of a source's issuer ended; `ok` is a 2xx answer. */
  fetched(source: string, ok: boolean): void;
}

/** How full the caches are, asked when somebody wants to know. */
export interface SizeMetrics {
  tokens(upstream: string, size: () => number): void;
  /** Grants whose refreshes have been failing for an hour. */
  failing(upstream: string, count: () => number): void;
  /** Verified sessions, in the cache of the place that `source` reads. */
  sessions(source: string, size: () => number): void;
}

/** What the admin service is asked. */
export interface AdminMetrics {
  /** One call ended; `code` is the name of its gRPC status. */
  called(method: string, code: string): void;
}

/**
 * How a login ended: `connected` with its grant stored, `denied` by the provider or its user, `refused` as another browser, session or user came back with it,
 * `superseded` as something newer was stored meanwhile, `failed` for whatever else, of ours or the provider's.
 */
export type LoginEnding = "connected" | "denied" | "refused" | "superseded" | "failed";

/** What came of asking a provider to end a token: it did, it did not say so, or it cannot be asked. */
export type RevocationEnding = "done" | "unconfirmed" | "none";

/** Where grants begin and end at their provider. Upstreams other than the configured ones are not counted. */
export interface GrantMetrics {
  login(upstream: string, ending: LoginEnding): void;
  revocation(upstream: string, ending: RevocationEnding): void;
}

/** What issuers ask of us. */
export interface LogoutMetrics {
  /** One logout token was carried out, refused, or has to be sent again. */
  ended(outcome: "done" | "invalid" | "unavailable"): void;
}

/** Count nothing. */
export const noStoreMetrics: StoreMetrics = { command() {} };
export const noTokenMetrics: TokenMetrics = { refreshed() {}, flights() {}, waiters() {}, count() {}, breaker() {} };
