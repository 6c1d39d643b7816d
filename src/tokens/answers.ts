import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineAt } from "../platform/deadline.ts";
import type { GrantKey } from "../stores/grant.ts";
import { type AccessToken, usableUntil } from "./access-token.ts";
import type { Coherence } from "./coherence.ts";
import type { Flight } from "./flights.ts";
import type { TokenMetrics } from "./metrics.ts";
import { mayUse, type Owner } from "./owner.ts";
import { type FlightResult, unavailable } from "./resolve.ts";
import type { TokenCache } from "./token-cache.ts";

/** What a client, or its user, can do about a refusal. */
export interface ClientHelp {
  /** The page where the user allows our client what the provider asks consent for. */
  readonly consentUrl?: string | undefined;
  /** A claims request for the client's next token, in base64. */
  readonly claims?: string | undefined;
  /** The provider's page about the error. */
  readonly errorUri?: string | undefined;
}

/** An access token to send, or why there is none. */
export type TokenAnswer =
  | { readonly kind: "fresh"; readonly token: AccessToken }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string; readonly help?: ClientHelp | undefined }
  /** The user is known, and gets no token: by the policy of the identity's provider, or of the resource's. */
  | { readonly kind: "denied"; readonly why: string; readonly by: "identity" | "resource" }
  | { readonly kind: "subject_mismatch" }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** Turns a flight's result into one caller's answer. */
export interface Answers {
  /**
   * Resolves to the caller's answer by its deadline, or to "again" where the caller has to join another flight: this
   * one is out of date, or was begun for an owner who may not use the grant.
   */
  awaitedFrom(flight: Flight, owner: Owner, key: GrantKey, deadline: Deadline): Promise<TokenAnswer | "again">;
}

export interface AnswersDeps {
  readonly cache: TokenCache;
  readonly coherence: Coherence;
  readonly clock: Clock;
  readonly metrics: Pick<TokenMetrics, "waiters" | "count">;
}

/**
 * A caller stops waiting this much before the token in hand ends, so that a timer that fires late does not cost the
 * token.
 */
const timerSlackMs = 50;

/** The answer to a caller that stops waiting before the flight has a result. */
const hasty = unavailable("deadline");

export function createAnswers({ cache, coherence, clock, metrics }: AnswersDeps): Answers {
  return {
    async awaitedFrom(flight, owner, key, deadline) {
      for (;;) {
        const result = await wait(flight, owner, key, deadline);
        const answer = answerOf(owner, key, result);
        // The wait ended early to serve the cached token, which has been dropped meanwhile: wait on for the flight.
        if (answer === hasty && !deadline.hasPassed()) continue;
        if (result.kind === "not_begun" && answer === "again") await flight.done;
        return answer;
      }
    },
  };

  /**
   * Stops waiting while a cached token can still be served: else a slow provider would fail requests that this token
   * can answer.
   */
  async function wait(flight: Flight, owner: Owner, key: GrantKey, deadline: Deadline): Promise<FlightResult> {
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

  /** The cached token, where it can still be served. */
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
}
