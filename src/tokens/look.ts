import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { PeekResult, TokenStore } from "../stores/token-store.ts";
import { type AccessToken, type FreshnessConfig, placeAccessToken, usableUntil } from "./access-token.ts";
import { createAnswers, type TokenAnswer } from "./answers.ts";
import type { Coherence } from "./coherence.ts";
import { dueOf, isOfOtherKind } from "./due.ts";
import type { Flights } from "./flights.ts";
import type { ForeseenWait } from "./foreseen-wait.ts";
import type { Owner } from "./owner.ts";
import type { Refresher } from "./refresh.ts";
import { type FlightResult, unavailable } from "./resolve.ts";
import type { Secrets } from "./secrets.ts";
import type { Serving } from "./serving.ts";
import type { TokenCache } from "./token-cache.ts";

/** What a request would be told if it came now. */
export type Foreseen =
  | { readonly kind: "answer"; readonly answer: TokenAnswer }
  /**
   * The provider has to be asked, or another attempt has to be waited for, and nobody knows what comes of that.
   * `isBacked`: where nothing comes of it, a token that is held is served. `wait`: what a refresh does first.
   */
  | (Dependence & { readonly isBacked: boolean });

interface Dependence {
  readonly kind: "depends";
  readonly on: "refresh" | "lease" | "mint";
  readonly wait?: ForeseenWait | undefined;
}

/** A token that is held, by what is left until its instants, ms; `Infinity` where there is none. */
export interface HeldLook {
  readonly version: string;
  readonly expiresInMs: number;
  readonly staleInMs: number;
  /** When a request begins the next refresh in the background. */
  readonly aheadInMs: number;
  readonly isServed: boolean;
}

/** A grant as it stands, in the store and in this process. It holds a token only within `foreseen` and `stored`. */
export interface GrantLook {
  readonly foreseen: Foreseen;
  readonly held: HeldLook | undefined;
  readonly stored: PeekResult | { readonly kind: "unreadable"; readonly code: string; readonly why: string };
  /** When this process will begin a refresh ahead of need, once it holds the stored token: at the earliest, ms. */
  readonly aheadInMs: number | undefined;
  /** For how long this process leaves the provider alone, ms. */
  readonly breakerMs: number;
  /** Whether somebody waits for this grant already, in this process. */
  readonly isUnderWay: boolean;
}

/**
 * Looks at a grant as a request would, and changes nothing: no refresh, no lease, no life that is prolonged, nothing
 * that counts as use. Answered before the deadline; never rejects.
 */
export type Look = (owner: Owner, upstream: string, deadline: Deadline) => Promise<GrantLook>;

interface LookDeps {
  readonly store: Pick<TokenStore, "peek">;
  readonly cache: TokenCache;
  readonly coherence: Coherence;
  readonly refresher: Pick<Refresher, "breakerMs" | "foresee">;
  readonly flights: Pick<Flights, "has">;
  readonly serving: Serving;
  readonly secrets?: Pick<Secrets, "areOf"> | undefined;
  readonly freshnessOf: (upstream: string) => FreshnessConfig;
  readonly clock: Clock;
}

export function createLook(deps: LookDeps): Look {
  const { store, coherence, refresher, flights, serving, secrets, freshnessOf, clock } = deps;
  // A look is no use: it must not keep in the cache what nobody asks for.
  const cache = { ...deps.cache, get: deps.cache.peek };
  const answers = createAnswers({ cache, coherence, clock, metrics: { waiters() {}, count() {} } });

  return async function look(owner, upstream, deadline) {
    const key = { session: owner.session, upstream };
    const from = clock.monotonicMs();
    const token = cache.get(owner.session, upstream);
    const held = token && heldLook(token, from, serving(owner, token, from) !== undefined);
    const about = { held, breakerMs: refresher.breakerMs(upstream), isUnderWay: flights.has(key) };
    const stored = await deadline.before(peek(key), () => unreadable("deadline", "the store did not answer in time"));
    const placed = stored.kind === "found" ? placedFrom(stored.row, upstream, from) : undefined;
    const aheadInMs = held?.aheadInMs ?? (placed && placed.aheadAt - from);
    if (token !== undefined && held?.isServed)
      return { ...about, stored, aheadInMs, foreseen: { kind: "answer", answer: { kind: "fresh", token } } };
    const result = resultOf(stored, placed, owner, key);
    if (result.kind !== "depends") return { ...about, stored, aheadInMs, foreseen: await answered(result) };
    const { breakerMs } = about;
    const isBacked = token !== undefined && from < usableUntil(token);
    const foreseen =
      breakerMs > 0
        ? await answered({ kind: "unavailable", why: "breaker_open", retryAfterMs: breakerMs })
        : { ...result, isBacked };
    return { ...about, stored, aheadInMs, foreseen };

    async function answered(result: FlightResult): Promise<Foreseen> {
      const flight = { result: Promise.resolve(result), done: Promise.resolve() };
      const answer = await answers.awaitedFrom(flight, owner, key, deadline);
      return { kind: "answer", answer: answer === "again" ? unavailable("deadline") : answer };
    }
  };

  async function peek(key: GrantKey): Promise<GrantLook["stored"]> {
    try {
      return await store.peek(key);
    } catch (error) {
      return unreadable(error instanceof BearerswapError ? error.code : "internal_error", messageOf(error));
    }
  }

  function placedFrom(
    { access, version, grant }: Extract<PeekResult, { readonly kind: "found" }>["row"],
    upstream: string,
    from: number,
  ): AccessToken | undefined {
    return access && placeAccessToken(access, { version, subject: grant.subject }, from, freshnessOf(upstream), 0);
  }

  /** As a flight finds it that has read this. */
  function resultOf(
    stored: GrantLook["stored"],
    placed: AccessToken | undefined,
    owner: Owner,
    key: GrantKey,
  ): FlightResult | Dependence {
    if (stored.kind === "unreadable") return unavailable(stored.code);
    if (stored.kind !== "found" || isOfOtherKind(stored.row, secrets?.areOf(key.upstream) === true))
      return { kind: "missing" };
    if (placed !== undefined && clock.monotonicMs() < placed.staleAt) return { kind: "token", token: placed };
    const due = dueOf(stored.row, owner);
    if (due.kind !== "refresh") return due;
    if (stored.standing.lease !== undefined) return { kind: "depends", on: "lease" };
    return { kind: "depends", on: "refresh", wait: refresher.foresee(key, stored) };
  }
}

/** @param now monotonic ms */
export function heldLook(token: AccessToken, now: number, isServed: boolean): HeldLook {
  return {
    version: token.version,
    expiresInMs: token.expiresAt - now,
    staleInMs: token.staleAt - now,
    aheadInMs: Math.max(token.refreshAt, token.aheadAt) - now,
    isServed,
  };
}

/** In place of a token that nobody has yet: for an answer that is foreseen, and never sent. */
export function standIn(): AccessToken {
  const access = { token: new Secret("token") };
  return placeAccessToken(access, { version: "" }, 0, { minRemainingMs: 0, aheadMs: 0 }, 0);
}

function unreadable(code: string, why: string): GrantLook["stored"] & { readonly kind: "unreadable" } {
  return { kind: "unreadable", code, why };
}
