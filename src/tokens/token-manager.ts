import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import { type GrantKey, grantId, shortHash } from "../stores/grant.ts";
import type { Change, TokenStore } from "../stores/token-store.ts";
import type { AccessToken, FreshnessConfig } from "./access-token.ts";
import { createAnswers, type TokenAnswer } from "./answers.ts";
import { type Coherence, type CoherenceConfig, createCoherence } from "./coherence.ts";
import { createFailingGrants } from "./failing-grants.ts";
import { createFailover } from "./failover.ts";
import { createFlights } from "./flights.ts";
import { createGrantEnds, type GrantEnds } from "./grant-ends.ts";
import { createIdentities, type Identities } from "./identities.ts";
import { createJournal } from "./journal.ts";
import { createLogins, type Logins } from "./logins.ts";
import { createLook, type Look } from "./look.ts";
import type { RefreshTrigger, TokenMetrics } from "./metrics.ts";
import type { Owner } from "./owner.ts";
import { createRefresher, type RefreshConfig } from "./refresh.ts";
import { createRefreshNow, type RefreshNowAnswer } from "./refresh-now.ts";
import { createRejections, type Rejections } from "./rejections.ts";
import { createResolve, type FlightResult, unavailable } from "./resolve.ts";
import { type Secrets, useNotedMs } from "./secrets.ts";
import { createServing } from "./serving.ts";
import { createTokenCache } from "./token-cache.ts";
import type { Traced } from "./tracing.ts";

export type { TokenAnswer } from "./answers.ts";

export interface TokenManagerConfig extends FreshnessConfig, RefreshConfig, CoherenceConfig {
  /** Access tokens kept in this process for each upstream. */
  readonly cacheEntries: number;
}

export interface TokenManagerDeps extends Traced {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: TokenManagerConfig;
  /** Absent where no upstream has secrets. */
  readonly secrets?: Secrets | undefined;
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
  /** What a request would find, without any effect. */
  look: Look;
  rejected: Rejections["rejected"];
  replacement: Rejections["replacement"];
  /** Replaces a grant's access token although it is fresh; throws what the store throws. */
  refreshNow(key: GrantKey): Promise<RefreshNowAnswer>;
  /** Looks at what a login will replace, before its code is redeemed. */
  beginLogin: Logins["begin"];
  /** Stores tokens over whatever is there. */
  put: Logins["put"];
  revoke: GrantEnds["revoke"];
  endIf: GrantEnds["endIf"];
  readonly identities: Pick<Identities, "held" | "find" | "look" | "current">;
  /** Whether this process would know of what others change. */
  readonly coherence: Pick<Coherence, "isCurrent">;
  /** Access tokens that this process holds for an upstream. */
  held(upstream: string): number;
  /**
   * Takes over another configuration. An upstream whose provider is another one, or which is gone, loses what this
   * process holds of it, and what a flight has read; what such a flight has presented already it stores all the same.
   */
  adopt(next: Pick<TokenManagerDeps, "providers" | "config">): void;
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

/** A background refresh that failed is tried again this long after, ms, unless a request needs it sooner. */
const aheadRetryMs = 5_000;
/** A grant in use is looked at this often, ms, or four times in the life that the store gives it, whatever is shorter. */
const longestLookMs = 86_400_000;
/** A store that did not answer is asked again for the same grant after this long, in the background. */
const storeRetryMs = 1_000;

export function createTokenManager(deps: TokenManagerDeps): TokenManager {
  const { store, clock, log, metrics, secrets } = deps;
  let { providers } = deps;
  /** All parts look at this one object, which another configuration changes. */
  const config = { ...deps.config };
  const cache = createTokenCache(providers.keys(), config.cacheEntries);
  const coherence = createCoherence(config, clock, store.hasOtherWriters !== true);
  const failing = createFailingGrants(clock);
  const journal = createJournal(clock);
  const failover = createFailover({ ...deps, config, journal, onRestored: drop });
  const refresher = createRefresher({ ...deps, config, journal, failover, coherence, onMoved: changed });
  const resolve = createResolve({ ...deps, coherence, refresher, cache, failing, freshnessOf, lookMsOf });
  const work = (task: Parameters<typeof resolve>[0]) => resolve(task).catch((error) => failed(task.key, error));
  const serving = createServing(coherence);
  const flights = createFlights({ ...deps, work, config });
  const look = createLook({ ...deps, cache, coherence, refresher, flights, serving, freshnessOf });
  const answers = createAnswers({ cache, coherence, clock, metrics });
  const logins = createLogins({ ...deps, journal, failover, onWrite: drop });
  const endings = createGrantEnds({ ...deps, journal, failover, onEnd: drop, isUnderWay });
  const refreshNow = createRefreshNow({ store, join: flights.join, clock, config });
  const renew = (key: GrantKey) => refreshNow(key, "id_token");
  const identities = createIdentities({ ...deps, config, coherence, renew });
  const rejections = createRejections({
    ...{ ...deps, cache, flights },
    fresh: (owner, upstream, deadline) => freshFor("rejected", owner, upstream, deadline),
  });
  store.listen({ changed, ended() {}, heard: coherence.heard, gap, tellsHistory: failover.tellsHistory });

  return {
    cached(owner, upstream) {
      const token = cache.get(owner.session, upstream);
      const now = clock.monotonicMs();
      const served = token && serving(owner, token, now);
      if (token === undefined || served === undefined) return undefined;
      if (served === "borne") bearOutage(owner, upstream, token, now);
      if (now >= token.aheadAt) doAhead(owner, upstream, token, now);
      metrics.count("cache_hit", upstream);
      return token;
    },

    async fresh(owner, upstream, deadline) {
      metrics.count("cache_miss", upstream);
      const answer = await freshFor("expired", owner, upstream, deadline);
      if (secrets?.areOf(upstream) && answer.kind === "fresh")
        noteUse({ session: owner.session, upstream }, answer.token.version);
      return answer;
    },

    look,
    rejected: rejections.rejected,
    replacement: rejections.replacement,
    refreshNow: (key) => refreshNow(key, "asked"),
    identities,
    coherence,
    beginLogin: logins.begin,
    put: logins.put,
    revoke: endings.revoke,
    endIf: endings.endIf,
    held: (upstream) => cache.size(upstream),
    failing: failing.count,
    adopt,
    async settled() {
      await flights.settled();
      await refresher.settled();
    },
    unstored,
  };

  function adopt(next: Pick<TokenManagerDeps, "providers" | "config">): void {
    const before = providers;
    providers = next.providers;
    Object.assign(config, next.config);
    refresher.adopt(providers);
    cache.resize(config.cacheEntries);
    identities.adopt(providers);
    cache.keepOnly(providers.keys());
    for (const upstream of new Set([...before.keys(), ...providers.keys()])) {
      const provider = providers.get(upstream);
      if (provider === before.get(upstream)) continue;
      if (provider !== undefined) cache.renew(upstream);
      failing.forget(upstream);
      flights.outdateAll(upstream);
    }
  }

  async function freshFor(
    trigger: RefreshTrigger,
    owner: Owner,
    upstream: string,
    deadline: Deadline,
  ): Promise<TokenAnswer> {
    const key = { session: owner.session, upstream };
    for (;;) {
      const flight = flights.join({ owner, key, trigger });
      const answer = await answers.awaitedFrom(flight, owner, key, deadline);
      if (answer !== "again") return answer;
    }
  }

  function unstored(): readonly GrantKey[] {
    return [...refresher.unstored(), ...logins.unstored()];
  }

  function isUnderWay(key: GrantKey): boolean {
    const id = grantId(key);
    return flights.hasFound(key) || [...unstored(), ...refresher.awaited()].some((other) => grantId(other) === id);
  }

  /** With `killsOldAccess` a refresh ahead of need would end the token that requests under way were sent with. */
  function freshnessOf(upstream: string): FreshnessConfig {
    return providers.get(upstream)?.killsOldAccess ? { ...config, aheadMs: 0 } : config;
  }

  /** The store should confirm this token, and has just failed to: it is asked in the background. */
  function bearOutage(owner: Owner, upstream: string, token: AccessToken, now: number): void {
    metrics.count("stale_served", upstream);
    const key = { session: owner.session, upstream };
    if (now >= token.unaskedUntil) flights.join({ owner, key, trigger: "ahead" });
  }

  function doAhead(owner: Owner, upstream: string, token: AccessToken, now: number): void {
    const key = { session: owner.session, upstream };
    if (secrets?.areOf(upstream)) noteUse(key, token.version);
    else if (now < token.refreshAt) lookAt(owner, key, token, now);
    else if (!flights.has(key)) refreshAhead(owner, key, token);
  }

  /**
   * A token in the cache is not read again while all is well. If it lives longer than the store keeps a grant that
   * nobody reads, or for ever, the store would drop the grant while it is in use.
   */
  function lookAt(owner: Owner, key: GrantKey, token: AccessToken, now: number): void {
    cache.set(key, { ...token, aheadAt: Math.min(token.refreshAt, now + lookMsOf(key.upstream)) });
    flights.join({ owner, key, trigger: "ahead" });
  }

  function lookMsOf(upstream: string): number {
    return Math.min(longestLookMs, (providers.get(upstream)?.refreshTokenLifeMs ?? longestLookMs) / 4);
  }

  function refreshAhead(owner: Owner, key: GrantKey, token: AccessToken): void {
    const { upstream } = key;
    const flight = flights.join({ owner, key, trigger: "ahead", replacing: token.version });
    void flight.result.then((result) => {
      const held = cache.get(key.session, upstream);
      if (result.kind === "token" || held?.version !== token.version) return;
      const retryMs = Math.max(aheadRetryMs, result.kind === "unavailable" ? (result.retryAfterMs ?? 0) : 0);
      cache.set(key, { ...held, aheadAt: clock.monotonicMs() + retryMs });
    });
  }

  /** Nothing comes after a secret: its `aheadAt` says when its use is to be noted, so that requests pay nothing for it. */
  function noteUse(key: GrantKey, version: string): void {
    const held = cache.get(key.session, key.upstream);
    const now = clock.monotonicMs();
    if (held?.version !== version || now < held.aheadAt) return;
    cache.set(key, { ...held, aheadAt: now + useNotedMs });
    secrets?.used(key, version);
  }

  /** This process has changed the grant, or may have: what was read of it before must not be served after. */
  function drop(key: GrantKey): void {
    cache.delete(key);
    flights.outdate(key);
    identities.drop(key);
  }

  /** A grant was written, or a lease given back. */
  function changed(change: Change): void {
    const { version, isRejected, ...key } = change;
    identities.drop(key);
    if (isRejected) rejections.heard(key, version);
    const isNoNews = flights.hears(change);
    if (refresher.isWriting(version)) return;
    failover.heard(key, version);
    const held = cache.get(key.session, key.upstream);
    if (held !== undefined && held.version !== version) {
      cache.delete(key);
      metrics.count("invalidated", key.upstream);
    }
    if (!isNoNews) drop(key);
  }

  function gap(): void {
    coherence.gap();
    failover.gap();
    refresher.gap();
  }

  /** Keeps the cached token: it is still good although the store did not answer. */
  function failed(key: GrantKey, error: unknown): FlightResult {
    const held = cache.get(key.session, key.upstream);
    if (held !== undefined) held.unaskedUntil = clock.monotonicMs() + storeRetryMs;
    log.error(
      { event: "flight_failed", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) },
      "a token could not be read or refreshed: see `reason`. Nothing is lost; requests without a usable token get 503",
    );
    return unavailable(error instanceof BearerswapError ? error.code : "internal_error");
  }
}
