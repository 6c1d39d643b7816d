import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { type GrantKey, shortHash, versionId } from "../stores/grant.ts";
import type { GrantRow, ReadResult, TokenStore } from "../stores/token-store.ts";
import type { TokenAnswer } from "./answers.ts";
import type { Flights } from "./flights.ts";
import type { RejectionEnding, TokenMetrics } from "./metrics.ts";
import type { Owner } from "./owner.ts";
import { type Secrets, triedMs } from "./secrets.ts";
import type { TokenCache } from "./token-cache.ts";

/** Whose request is tried again: a session, and who owns it as far as that can be told. */
export interface Retrying {
  readonly session: string;
  /** Undefined where it may not use a grant of this subject. */
  ownerOf(subject: string | undefined): Owner | undefined;
}

/** A token for a request that its API has answered with 401, and who may use it, where that was told by the grant. */
export interface ReplacementAnswer {
  /** `unchanged`: the token that the request was sent with may stay. */
  readonly answer: TokenAnswer | { readonly kind: "unchanged" };
  readonly owner?: Owner | undefined;
}

/**
 * Access tokens that APIs reject before their time. Invariants: a rejection ends no grant; and refreshes for rejections
 * are bounded, since an API may answer 401 for want of permission, which no refresh cures.
 */
export interface Rejections {
  /**
   * An API has answered 401 to the token of this version. Resolves when the store knows, so that no replica can serve
   * the token to a retry. Never rejects.
   */
  rejected(key: GrantKey, version: string): Promise<RejectionEnding>;
  /**
   * A token in place of the one of this version, for a request that is tried again: another one where the API rejected
   * that, by a refresh if need be. Never rejects.
   */
  replacement(who: Retrying, upstream: string, version: string, deadline: Deadline): Promise<ReplacementAnswer>;
  /** Another replica says so. */
  heard(key: GrantKey, version: string): void;
}

export interface RejectionsDeps {
  readonly store: Pick<TokenStore, "read" | "reject">;
  readonly cache: TokenCache;
  readonly flights: Pick<Flights, "outdate">;
  readonly fresh: (owner: Owner, upstream: string, deadline: Deadline) => Promise<TokenAnswer>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<TokenMetrics, "rejection">;
  readonly secrets?: Pick<Secrets, "isRefused"> | undefined;
}

/** Rejections that this process remembers, so that a crowd of 401s costs the store one call. */
const remembered = 10_000;
/** How long a token is left as it is after refreshing did not help, ms: doubled each time. */
const firstHoldMs = 60_000;
const longestHoldMs = 3_600_000;

export function createRejections(deps: RejectionsDeps): Rejections {
  const { store, cache, flights, fresh, clock, log, metrics, secrets } = deps;
  /** Versions whose tokens were rejected. */
  const known = new LRUCache<string, true>(upTo(remembered));
  /** Versions for which a rejection changes nothing until that instant, monotonic ms. */
  const held = new LRUCache<string, number>(upTo(remembered));
  const asking = new Map<string, Promise<RejectionEnding>>();

  return {
    async rejected(key, version) {
      const ending = await endingOf(key, version);
      metrics.rejection(key.upstream, ending);
      return ending;
    },

    async replacement({ session, ownerOf }, upstream, version, deadline) {
      const key = { session, upstream };
      try {
        const read = await deadline.before<ReadResult | undefined>(store.read(key), () => undefined);
        if (read === undefined) return { answer: { kind: "unavailable", why: "deadline" } };
        if (read.kind !== "found") return { answer: { kind: "missing" } };
        const { row } = read;
        if (row.version === version && !(await isRejected(key, row))) return { answer: { kind: "unchanged" } };
        const owner = ownerOf(row.grant.subject);
        if (owner === undefined) return { answer: { kind: "subject_mismatch" } };
        // It cannot be refreshed, and has stayed for what its API does take.
        if (row.version === version && row.access !== undefined && !canBeRefreshed(row))
          return { answer: { kind: "refused", why: row.why ?? "rejected_by_api" }, owner };
        if (row.version === version) learn(key, version);
        return { answer: await another(owner, upstream, version, deadline), owner };
      } catch (error) {
        // The request may be tried again for another reason: as long as nothing speaks against its token, it stays.
        if (!isKnown(version)) return { answer: { kind: "unchanged" } };
        const why = error instanceof BearerswapError ? error.code : "internal_error";
        return { answer: { kind: "unavailable", why } };
      }
    },

    heard: learn,
  };

  /** A failover may have cost the store what this process knows: then it is told again. */
  async function isRejected(key: GrantKey, { version, isRejected }: GrantRow): Promise<boolean> {
    return isRejected || (isKnown(version) && (await tell(key, version)) === "rejected");
  }

  /** A flight that had read the store before the rejection may still bring the rejected token. */
  async function another(owner: Owner, upstream: string, version: string, deadline: Deadline): Promise<TokenAnswer> {
    for (;;) {
      const answer = await fresh(owner, upstream, deadline);
      if (answer.kind !== "fresh" || answer.token.version !== version) return answer;
      if (deadline.hasPassed()) return { kind: "unavailable", why: "deadline" };
      forget({ session: owner.session, upstream }, version);
    }
  }

  function endingOf(key: GrantKey, version: string): Promise<RejectionEnding> {
    if (isKnown(version)) {
      forget(key, version);
      return Promise.resolve("known");
    }
    if (clock.monotonicMs() < (held.get(version, plainGet) ?? Number.NEGATIVE_INFINITY)) return Promise.resolve("held");
    const id = versionId(key, version);
    const asked = asking.get(id);
    if (asked !== undefined) return asked.then((ending) => (ending === "rejected" ? "known" : ending));
    const answer = tell(key, version).finally(() => asking.delete(id));
    asking.set(id, answer);
    return answer;
  }

  async function tell(key: GrantKey, version: string): Promise<RejectionEnding> {
    const about = { upstream: key.upstream, session: shortHash(key.session) };
    try {
      const read = await store.read(key);
      if (read.kind !== "found" || read.row.version !== version) return "superseded";
      // Nobody is asked for another secret because one address of its API wants a permission that the user lacks.
      if (read.row.grant.isSecret && !(await secrets?.isRefused(key, read.row))) {
        held.set(version, clock.monotonicMs() + triedMs);
        return "held";
      }
      const stays = !canBeRefreshed(read.row);
      const result = await store.reject(key, version, { stays, firstHoldMs, longestHoldMs });
      if (result.kind === "held") {
        held.set(version, clock.monotonicMs() + result.remainingMs);
        log.warn(
          { event: "rejection_held", ...about, holdMs: Math.round(result.remainingMs) },
          "the API rejects the successor of a rejected access token too, so that refreshing does not help: its 401s go " +
            "to the client for a while. Perhaps the user lacks a permission",
        );
      }
      if (result.kind !== "rejected") return result.kind;
      learn(key, version);
      log.info({ event: "rejected", ...about }, "the API rejected an access token before its time");
      return "rejected";
    } catch (error) {
      log.warn(
        { event: "rejection_lost", ...about, reason: messageOf(error) },
        "that an API rejected an access token could not be stored: its 401 goes to the client, and nothing is lost",
      );
      return "unavailable";
    }
  }

  /** Stops serving the token. What a flight has read is out of date, but only once: the next one replaces the token. */
  function learn(key: GrantKey, version: string): void {
    forget(key, version);
    if (isKnown(version)) return;
    known.set(version, true);
    flights.outdate(key);
  }

  function forget(key: GrantKey, version: string): void {
    if (cache.get(key.session, key.upstream)?.version === version) cache.delete(key);
  }

  function isKnown(version: string): boolean {
    return known.get(version, plainGet) === true;
  }
}

/** Not without a refresh token, nor where the provider has refused it: then the access token is all that is left. */
function canBeRefreshed({ state, grant }: GrantRow): boolean {
  return grant.refreshToken !== undefined && state === "active";
}
