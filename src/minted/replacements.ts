import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { TokenAnswer } from "../tokens/answers.ts";
import type { RejectionEnding, TokenMetrics } from "../tokens/metrics.ts";
import type { Rejections } from "../tokens/rejections.ts";
import type { SessionEnds } from "./ended-sessions.ts";
import type { HeldTokens } from "./held-tokens.ts";
import type { MintKind, Subject } from "./kind.ts";
import type { RejectionBounds } from "./rejection-bounds.ts";
import { type SharedToken, sharedIdOf } from "./shared-records.ts";
import { comesAfterRejected, type Shared, type SharedTokens } from "./shared-tokens.ts";

/**
 * Minted tokens that APIs reject before their time. Whoever is told of one drops it in all replicas. The session's own
 * token is in no message and in no store: those replicas that have it mint another one at once, by one call, and a
 * replica without it takes that one.
 */
export type Replacements = Pick<Rejections, "rejected" | "replacement" | "heard">;

interface ReplacementsDeps {
  readonly upstream: string;
  readonly kind: Pick<MintKind, "ofSessions" | "subjectOf">;
  readonly held: HeldTokens;
  readonly shared: Pick<SharedTokens, "look" | "isMinting" | "awaitAnother">;
  /** What the store counts for all replicas, and what this one counts where that cannot be asked. */
  readonly bounds: RejectionBounds;
  readonly ownBounds: RejectionBounds;
  readonly ended: Pick<SessionEnds, "look">;
  /** Tells all replicas that a version was rejected. May reject, and may get lost. */
  readonly announce: (version: string) => Promise<void>;
  /** A token in place of that version, by a mint that all callers share. Never rejects. */
  readonly mint: (subject: Subject, replacing: string) => Promise<TokenAnswer>;
  /** How long a token lives on, and the form in which it is served. */
  readonly leftMs: (token: SharedToken) => number;
  readonly placed: (token: SharedToken) => AccessToken;
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  readonly log: Log;
  readonly metrics: Pick<TokenMetrics, "rejection">;
}

const remembered = 10_000;
/** How long this process does not ask the store again whether rejections are believed, ms. */
const heldMs = 5_000;
const nobody: TokenAnswer = {
  kind: "unavailable",
  why: "no replica has the session's own token at hand",
  retryAfterMs: 1_000,
};
const tooLate: TokenAnswer = { kind: "unavailable", why: "deadline" };

export function createReplacements(deps: ReplacementsDeps): Replacements {
  const { upstream, kind, held, shared, bounds, ownBounds, ended, announce, mint, leftMs, placed } = deps;
  const { clock, log, metrics } = deps;
  const heldUntil = new LRUCache<string, number>(upTo(remembered));
  const asking = new Map<string, Promise<RejectionEnding>>();

  return {
    async rejected(key, version) {
      const ending = await endingOf(key, version);
      metrics.rejection(upstream, ending);
      return ending;
    },

    async replacement({ session }, _upstream, version, deadline) {
      const answer = await deadline.before<TokenAnswer | { readonly kind: "unchanged" }>(
        another(session, version, deadline),
        () => tooLate,
      );
      return { answer, owner: { session } };
    },

    heard: (_, version) => learn(version),
  };

  function endingOf(key: GrantKey, version: string): Promise<RejectionEnding> {
    if (held.isRejected(version)) return Promise.resolve("known");
    const until = heldUntil.get(version, plainGet) ?? Number.NEGATIVE_INFINITY;
    if (clock.monotonicMs() < until) return Promise.resolve("held");
    const asked = asking.get(version);
    if (asked !== undefined) return asked.then((ending) => (ending === "rejected" ? "known" : ending));
    const answer = tell(key, version).finally(() => asking.delete(version));
    asking.set(version, answer);
    return answer;
  }

  async function tell(key: GrantKey, version: string): Promise<RejectionEnding> {
    const of = kind.ofSessions ? { session: shortHash(key.session) } : {};
    const about = { upstream, ...of };
    const found = await taken(version).catch((error: unknown) => {
      log.warn(
        { event: "rejection_lost", ...about, reason: messageOf(error) },
        "that an API rejected a minted token could not be stored: this replica replaces it, others when they hear of it",
      );
      return takenAlone(version);
    });
    switch (found.ending) {
      case "held":
      case "begun_to_hold":
        heldUntil.set(version, clock.monotonicMs() + heldMs);
        if (found.ending === "begun_to_hold")
          log.warn(
            { event: "rejection_held", ...about },
            "the API rejects the successor of a rejected token too, so that minting does not help: its 401s go to the " +
              "client for a while. Perhaps a permission is lacking",
          );
        return "held";
      case "rejected":
        log.info({ event: "rejected", ...about }, "the API rejected a minted token before its time");
        learn(version);
        if (found.isStored) await announce(version).catch(() => {});
        return found.isStored ? "rejected" : "unavailable";
      case "superseded":
        // Some replica has it all the same: it got it while the store was down.
        learn(version);
        await announce(version).catch(() => {});
        return "superseded";
      case "known":
        learn(version);
        return "known";
      case "unavailable":
        return "unavailable";
      default:
        return found satisfies never;
    }
  }

  async function taken(version: string) {
    const id = sharedIdOf(version);
    const before = await shared.look(id);
    // Whoever mints serves its token before it has shared it: until then the store has the one before it. If that was
    // rejected too, the new one, taken for superseded, would be replaced without the bound that is for this.
    const isAwaited = isOther(before, version) && comesAfterRejected(before);
    if (isAwaited && (await shared.isMinting(id))) return { ending: "held", isStored: true } as const;
    const found = isAwaited ? await shared.look(id) : before;
    if (isOther(found, version)) return { ending: "superseded", isStored: true } as const;
    const { token } = found;
    const own = held.last(id);
    const isSuccessor = token?.isSuccessor ?? (own?.version === version ? own.isSuccessor : undefined);
    const lifeMs = token === undefined ? 0 : leftMs(token);
    return { ending: await bounds.take(id, { version, isSuccessor, lifeMs }), isStored: true } as const;
  }

  /** Without the store each replica bounds its own calls. */
  async function takenAlone(version: string) {
    const id = sharedIdOf(version);
    const own = held.last(id);
    if (own?.version !== version) return { ending: "unavailable", isStored: false } as const;
    const { isSuccessor } = own;
    const ending = await ownBounds.take(id, { version, isSuccessor, lifeMs: 0 }).catch(() => "held" as const);
    return { ending, isStored: false } as const;
  }

  /** Stops serving it. A retry is sure to come, perhaps to a replica that cannot mint: so whoever can does it now. */
  function learn(version: string): void {
    if (!held.reject(version, clock.monotonicMs()) || !kind.ofSessions) return;
    const subject = held.last(sharedIdOf(version))?.subject;
    if (subject !== undefined) void mint(subject, version);
  }

  async function another(
    session: string,
    version: string,
    deadline: Deadline,
  ): Promise<TokenAnswer | { readonly kind: "unchanged" }> {
    const id = sharedIdOf(version);
    const state = await deadline.before<Shared | undefined>(
      shared.look(id).catch(() => undefined),
      () => undefined,
    );
    if (state !== undefined && state.rejection?.rejected === version) learn(version);
    // The request may be tried again for another reason: as long as nothing speaks against its token, it stays.
    if (!held.isRejected(version) && !isReplaced(id, version, state)) return { kind: "unchanged" };
    // A failover may have cost the store what this process knows.
    if (state?.token?.version === version && state.rejection?.rejected !== version)
      await tell({ session, upstream }, version);
    const subject = kind.ofSessions ? held.last(id)?.subject : kind.subjectOf({ session });
    if (subject === undefined) return elsewhere(id, session, version, state, deadline);
    if (subject.session !== undefined && subject.session !== session) return { kind: "subject_mismatch" };
    // What this process holds is older than what the request was sent with.
    if (state?.token !== undefined && state.token.version !== version) forgetOther(subject, state.token.version);
    // A mint that was under way before the rejection may still bring the rejected token, once.
    const answer = await mint(subject, version);
    return isAgain(answer, version) ? mint(subject, version) : answer;
  }

  function forgetOther({ id }: Subject, version: string): void {
    if (held.get(id)?.version !== version) held.delete(id);
  }

  /** Whether there is another token by now; without the store, whether this process has another one. */
  function isReplaced(id: string, version: string, state: Shared | undefined): boolean {
    const now = state === undefined ? held.last(id) : state.token;
    return now !== undefined && now.version !== version && !held.isRejected(now.version);
  }

  function isAlive(token: SharedToken): boolean {
    return leftMs(token) > 0;
  }

  async function elsewhere(
    id: string,
    session: string,
    version: string,
    state: Shared | undefined,
    deadline: Deadline,
  ): Promise<TokenAnswer> {
    const of = state?.token?.of;
    if (of !== undefined) {
      const { issuedAt, expiresAt } = of;
      if ((await ended.look({ id, session, issuedAt })) === "ended") return { kind: "refused", why: "session_ended" };
      if (expiresAt <= clock.wallMs()) return { kind: "refused", why: "subject_token_expired" };
    }
    const found = await shared.awaitAnother(id, version, isAlive, deadline.at).catch(() => undefined);
    if (found === undefined) return nobody;
    if ("token" in found) return { kind: "fresh", token: placed(found) };
    const { kind: ending, why, help, retryAfterMs } = found;
    return ending === "refused" ? { kind: ending, why, help } : { kind: ending, why, retryAfterMs };
  }
}

/** Whether the store has another token, and has not heard that this version was rejected. */
function isOther({ token, rejection }: Shared, version: string): boolean {
  return token !== undefined && token.version !== version && rejection?.rejected !== version;
}

function isAgain(answer: TokenAnswer, version: string): boolean {
  return answer.kind === "fresh" && answer.token.version === version;
}
