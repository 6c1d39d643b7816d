import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineAt, deadlineIn } from "../platform/deadline.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import { type GrantKey, grantId, shortHash } from "../stores/grant.ts";
import type { Change, TokenStore } from "../stores/token-store.ts";
import { type AccessToken, type FreshnessConfig, usableUntil } from "./access-token.ts";
import { type CoherenceConfig, createCoherence } from "./coherence.ts";
import { createEndings, type Endings } from "./endings.ts";
import { createFailingGrants } from "./failing-grants.ts";
import type { FlightTask } from "./flight-task.ts";
import { createFlights, type Flight } from "./flights.ts";
import { createLogins, type Logins } from "./logins.ts";
import type { TokenMetrics } from "./metrics.ts";
import { mayUse, type Owner } from "./owner.ts";
import { createRecommits } from "./recommits.ts";
import { createRefresher, type RefreshConfig } from "./refresh.ts";
import { createRefreshNow, type RefreshNowAnswer } from "./refresh-now.ts";
import { createResolve, type FlightResult, unavailable } from "./resolve.ts";
import { createTokenCache } from "./token-cache.ts";

/** An access token to send, or why there is none. */
export type TokenAnswer =
  | { readonly kind: "fresh"; readonly token: AccessToken }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "subject_mismatch" }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

export interface TokenManagerConfig extends FreshnessConfig, RefreshConfig, CoherenceConfig {
  /** Access tokens kept in this process for each upstream. */
  readonly cacheEntries: number;
}

export interface TokenManagerDeps {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: TokenManagerConfig;
}

/** Hands out access tokens and keeps them fresh. */
export interface TokenManager {
  /**
   * A fresh token that this process holds and the owner may use: synchronous, no store call. Starts a refresh in the
   * background where the token nears its end.
   */
  cached(owner: Owner, upstream: string): AccessToken | undefined;
  /**
   * A fresh token, from the store or by a refresh that all callers share; answered before the deadline. Never rejects.
   */
  fresh(owner: Owner, upstream: string, deadline: Deadline): Promise<TokenAnswer>;
  /** Replaces a grant's access token although it is fresh; throws what the store throws. */
  refreshNow(key: GrantKey): Promise<RefreshNowAnswer>;
  /** Looks at what a login will replace, before its code is redeemed. */
  beginLogin: Logins["begin"];
  /** Stores tokens over whatever is there. */
  put: Logins["put"];
  revoke: Endings["revoke"];
  endIf: Endings["endIf"];
  /** Access tokens that this process holds for an upstream. */
  held(upstream: string): number;
  /**
   * Grants at an upstream whose refreshes have been failing for an hour, of those that this process was asked for
   * lately.
   */
  failing(upstream: string): number;
  /** Resolves when no refresh is under way and everything received is stored. */
  settled(): Promise<void>;
  /** The grants whose new tokens the store has not taken yet. */
  unstored(): readonly GrantKey[];
}

/**
 * A background refresh that failed is tried again after this long at the earliest, unless a request needs it sooner.
 */
const aheadRetryMs = 5_000;
/** A store that did not answer is asked again for the same grant after this long, in the background. */
const storeRetryMs = 1_000;
/**
 * A caller stops waiting this much before the token in hand ends, so that a timer that fires late does not cost the
 * token.
 */
const timerSlackMs = 50;

/** What a caller gets who waits no longer. */
const hasty = unavailable("deadline");

/** A task under way, and how its waiters are told that it is history. */
interface Flying {
  readonly task: FlightTask;
  readonly supersede: () => void;
}

export function createTokenManager({
  store,
  providers,
  clock,
  random,
  log,
  metrics,
  config,
}: TokenManagerDeps): TokenManager {
  const cache = createTokenCache(providers.keys(), config.cacheEntries);
  const coherence = createCoherence(config, clock);
  const recommits = createRecommits({ store, onRestored: drop, clock, log, metrics, holdOffMs: config.holdOffMs });
  const refresher = createRefresher({
    store,
    providers,
    recommits,
    coherence,
    onMoved: changed,
    clock,
    random,
    log,
    metrics,
    config,
  });
  const failing = createFailingGrants(clock);
  const resolve = createResolve({ store, coherence, refresher, cache, clock, random, metrics, failing, freshnessOf });
  const flights = createFlights<FlightResult>();
  const flying = new Map<string, Flying>();
  const join = (task: Parameters<typeof fly>[0]) => flights.join(grantId(task.key), () => fly(task));
  const logins = createLogins({ store, recommits, onWrite: drop, clock, log, metrics });
  const endings = createEndings({ store, recommits, clock, random, onEnd: drop, isUnderWay });
  store.listen({ changed, heard: coherence.heard, gap });

  return {
    cached(owner, upstream) {
      const token = cache.get(owner.session, upstream);
      if (token === undefined || !mayUse(owner, token.subject)) return undefined;
      const now = clock.monotonicMs();
      if (now >= token.staleAt) return undefined;
      if (!coherence.isCurrent(token.confirmedAt, now) && !bearsOutage(owner, upstream, token, now)) return undefined;
      if (now >= token.aheadAt) refreshAhead(owner, upstream, token);
      metrics.count("cache_hit", upstream);
      return token;
    },

    async fresh(owner, upstream, deadline) {
      const key = { session: owner.session, upstream };
      metrics.count("cache_miss", upstream);
      for (;;) {
        const flight = join({ owner, key, trigger: "expired" });
        const result = await wait(flight, owner, key, deadline);
        const answer = answerOf(owner, key, result);
        // The token in hand, whose end came near, may have been dropped in that moment: the flight goes on, and so does
        // the wait.
        if (answer === hasty && !deadline.hasPassed()) continue;
        if (answer !== "again") return answer;
        if (result.kind === "not_begun") await flight.done;
      }
    },

    refreshNow: createRefreshNow({ store, join, clock, timeoutMs: config.timeoutMs }),
    beginLogin: logins.begin,
    put: logins.put,
    revoke: endings.revoke,
    endIf: endings.endIf,
    held: (upstream) => cache.size(upstream),
    failing: failing.count,
    async settled() {
      await flights.settled();
      await refresher.settled();
    },
    unstored,
  };

  function unstored(): readonly GrantKey[] {
    return [...refresher.unstored(), ...logins.unstored()];
  }

  /** A flight counts once it has found a grant: anybody can begin one for a session that has none. */
  function isUnderWay(key: GrantKey): boolean {
    const id = grantId(key);
    return (
      flying.get(id)?.task.seen !== undefined ||
      [...unstored(), ...refresher.awaited()].some((other) => grantId(other) === id)
    );
  }

  /** With `killsOldAccess` a refresh ahead of need would take from requests under way the token they were sent with. */
  function freshnessOf(upstream: string): FreshnessConfig {
    return providers.get(upstream)?.killsOldAccess ? { ...config, aheadMs: 0 } : config;
  }

  /**
   * Waits no longer than a token in hand can be served, so that a slow provider costs nobody a request that could have
   * been answered.
   */
  async function wait(
    flight: Flight<FlightResult>,
    owner: Owner,
    key: GrantKey,
    deadline: Deadline,
  ): Promise<FlightResult> {
    const held = servable(owner, key);
    const end = held === undefined ? Number.POSITIVE_INFINITY : usableUntil(held) - timerSlackMs;
    metrics.waiters(key.upstream, 1);
    try {
      return await (end < deadline.at ? deadlineAt(clock, end) : deadline).before<FlightResult>(
        flight.result,
        () => hasty,
      );
    } finally {
      metrics.waiters(key.upstream, -1);
    }
  }

  function answerOf(owner: Owner, key: GrantKey, result: FlightResult): TokenAnswer | "again" {
    switch (result.kind) {
      case "token":
        return mayUse(owner, result.token.subject)
          ? { kind: "fresh", token: result.token }
          : { kind: "subject_mismatch" };
      case "missing":
        return result;
      case "not_begun":
        return mayUse(owner, result.subject) ? "again" : { kind: "subject_mismatch" };
      case "outdated":
        return "again";
      case "refused":
        if (!mayUse(owner, result.subject)) return { kind: "subject_mismatch" };
        return usable(owner, key) ?? { kind: "refused", why: result.why };
      case "unavailable":
        return usable(owner, key) ?? result;
      default:
        return result satisfies never;
    }
  }

  /** The token in hand, where it can still be served. */
  function usable(owner: Owner, key: GrantKey): TokenAnswer | undefined {
    const held = servable(owner, key);
    if (held === undefined) return undefined;
    if (!coherence.isCurrent(held.confirmedAt, clock.monotonicMs())) metrics.count("stale_served", key.upstream);
    return { kind: "fresh", token: held };
  }

  function servable(owner: Owner, key: GrantKey): AccessToken | undefined {
    const held = cache.get(key.session, key.upstream);
    const now = clock.monotonicMs();
    if (held === undefined || !mayUse(owner, held.subject) || now >= usableUntil(held)) return undefined;
    return coherence.isCurrent(held.confirmedAt, now) || coherence.isBearable(held.confirmedAt, now) ? held : undefined;
  }

  /**
   * A token that the store should be asked about, but it has just failed to answer: served, while it is asked in the
   * background.
   */
  function bearsOutage(owner: Owner, upstream: string, token: AccessToken, now: number): boolean {
    if (token.unaskedUntil === Number.NEGATIVE_INFINITY || !coherence.isBearable(token.confirmedAt, now)) return false;
    metrics.count("stale_served", upstream);
    const key = { session: owner.session, upstream };
    if (now >= token.unaskedUntil) join({ owner, key, trigger: "ahead" });
    return true;
  }

  function refreshAhead(owner: Owner, upstream: string, token: AccessToken): void {
    const key = { session: owner.session, upstream };
    if (flights.has(grantId(key))) return;
    const flight = join({ owner, key, trigger: "ahead", replacing: token.version });
    void flight.result.then((result) => {
      const held = cache.get(key.session, upstream);
      if (result.kind === "token" || held?.version !== token.version) return;
      const retryMs = Math.max(aheadRetryMs, result.kind === "unavailable" ? (result.retryAfterMs ?? 0) : 0);
      cache.set(key, { ...held, aheadAt: clock.monotonicMs() + retryMs });
    });
  }

  /**
   * Begins one flight. Its result is bounded by the refresh timeout; its work goes on until the provider's answer is
   * stored.
   */
  function fly(wanted: Pick<FlightTask, "owner" | "key" | "trigger" | "replacing">): Flight<FlightResult> {
    const id = grantId(wanted.key);
    const task: FlightTask = {
      ...wanted,
      until: clock.monotonicMs() + config.timeoutMs,
      seen: undefined,
      outdated: false,
      wake: undefined,
    };
    const superseded = Promise.withResolvers<FlightResult>();
    const current: Flying = { task, supersede: () => superseded.resolve({ kind: "outdated" }) };
    flying.set(id, current);
    metrics.flights(task.key.upstream, 1);
    const work = resolve(task).catch((error: unknown) => failed(task.key, error));
    const done = work.then(() => {
      metrics.flights(task.key.upstream, -1);
      if (flying.get(id) === current) flying.delete(id);
    });
    const result = deadlineIn(clock, config.timeoutMs).before(Promise.race([work, superseded.promise]), () =>
      unavailable("refresh_timeout"),
    );
    return { result, done };
  }

  /**
   * What was read before must not be served after: the flight under way keeps nothing, and its waiters and the next
   * request share one of their own.
   */
  function drop(key: GrantKey): void {
    cache.delete(key);
    const current = flying.get(grantId(key));
    flights.release(grantId(key));
    if (current === undefined) return;
    current.task.outdated = true;
    current.supersede();
    current.task.wake?.();
  }

  /** Somebody wrote a grant, or gave a lease back. A flight that only waits for that looks again by itself. */
  function changed({ version, ...key }: Change): void {
    const current = flying.get(grantId(key))?.task;
    const waits = current?.wake !== undefined;
    current?.wake?.(version);
    recommits.heard(key, version);
    if (refresher.isWriting(version)) return;
    const held = cache.get(key.session, key.upstream);
    if (held !== undefined && held.version !== version) {
      cache.delete(key);
      metrics.count("invalidated", key.upstream);
    }
    if (current !== undefined && !waits && current.seen !== version) drop(key);
  }

  function gap(): void {
    coherence.gap();
    recommits.gap();
    refresher.gap();
  }

  /** A store that does not answer is no reason to drop a token that is good. */
  function failed(key: GrantKey, error: unknown): FlightResult {
    const held = cache.get(key.session, key.upstream);
    if (held !== undefined) held.unaskedUntil = clock.monotonicMs() + storeRetryMs;
    log.error(
      { event: "flight_failed", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) },
      "no token could be had",
    );
    return unavailable(error instanceof BearerswapError ? error.code : "internal_error");
  }
}
