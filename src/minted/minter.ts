import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineAt, deadlineIn } from "../platform/deadline.ts";
import { digestOf } from "../platform/digest.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { createRunningWork } from "../platform/running-work.ts";
import type { Change } from "../stores/token-store.ts";
import { type AccessToken, placeAccessToken, usableUntil } from "../tokens/access-token.ts";
import type { TokenAnswer } from "../tokens/answers.ts";
import type { RefreshTrigger, TokenMetrics } from "../tokens/metrics.ts";
import type { Owner } from "../tokens/owner.ts";
import { type FollowedFlight, type Traced, untraced } from "../tokens/tracing.ts";
import { createActorWatch } from "./actor-watch.ts";
import { createConfirmations, type SessionLook } from "./confirmations.ts";
import type { SessionEnds } from "./ended-sessions.ts";
import { createHeldTokens } from "./held-tokens.ts";
import type { Actor, MintKind, Subject } from "./kind.ts";
import type { MintMetrics } from "./metrics.ts";
import type { MintCall } from "./mint-call.ts";
import { createMintLook, type MintLook } from "./mint-look.ts";
import type { MinterConfig } from "./minter-config.ts";
import type { RejectionBounds } from "./rejection-bounds.ts";
import { createReplacements, type Replacements } from "./replacements.ts";
import { ofSubject, type SharedToken, versionOf } from "./shared-records.ts";
import { endingOf, type SharedTokens } from "./shared-tokens.ts";

/** Hands out the minted tokens of one upstream; the same shapes as the manager of grants has. */
export interface Minter {
  /** A fresh token that this process holds: synchronous. Starts a mint in the background where it nears its end. */
  cached(owner: Owner): AccessToken | undefined;
  /** A fresh token, of another replica or of a call that all callers share. Never rejects. */
  fresh(owner: Owner, deadline: Deadline): Promise<TokenAnswer>;
  /** What a request would find, without any effect. Never rejects. */
  look(owner: Owner, deadline: Deadline): Promise<MintLook>;
  rejected: Replacements["rejected"];
  replacement: Replacements["replacement"];
  /** A replica says that a token was shared, or that none came of a turn, or that one was rejected. */
  heard(change: Change): void;
  /** Tokens that this process holds. */
  held(): number;
  /** Resolves when no mint is under way. */
  settled(): Promise<void>;
}

interface MinterDeps extends Traced {
  readonly upstream: string;
  readonly kind: MintKind;
  readonly call: MintCall;
  readonly ended: SessionEnds;
  readonly shared: SharedTokens;
  /** Differs wherever another token would be minted: another upstream, provider, client, or request. */
  readonly scope: readonly string[];
  readonly bounds: RejectionBounds;
  readonly ownBounds: RejectionBounds;
  /** Tells all replicas that a version was rejected. */
  readonly announce: (version: string) => Promise<void>;
  readonly config: MinterConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: { readonly tokens: MinterMetrics; readonly mints: MintMetrics };
}

type MinterMetrics = Pick<TokenMetrics, "count" | "waiters" | "rejection">;

/** After a mint in the background has failed, the next one begins this long after, ms, unless a request needs it. */
const aheadRetryMs = 5_000;
/** A caller stops waiting this much before the token in hand ends, ms. */
const timerSlackMs = 50;

type Unavailable = TokenAnswer & { readonly kind: "unavailable" };
type Fresh = TokenAnswer & { readonly kind: "fresh" };
type Found = TokenAnswer;

const hasty: Unavailable = { kind: "unavailable", why: "deadline" };
const tooLate: Unavailable = { kind: "unavailable", why: "mint_timeout" };
const noToken: Unavailable = { kind: "unavailable", why: "the session has no token of its own" };
const sessionEnded: Found = { kind: "refused", why: "session_ended" };
const expired = { kind: "refused", why: "subject_token_expired" } as const;

/**
 * The steps from the cheapest on: this process's tokens, a mint that is under way here, the tokens that replicas share,
 * the provider.
 */
export function createMinter(deps: MinterDeps): Minter {
  const { upstream, kind, call, shared, scope, config, clock, random, metrics, tracing = untraced } = deps;
  const cache = createHeldTokens(config.cacheEntries);
  const flights = new Map<string, FollowedFlight<Found>>();
  const { track, settled } = createRunningWork();
  const actors = kind.actor && createActorWatch({ actor: kind.actor, config, clock, track });
  const confirmations = createConfirmations({ ...deps, actors, held: cache, idOf, track });
  const { isConfirmed, isTrusted, confirm, looked } = confirmations;
  const replacements = createReplacements({
    ...{ ...deps, held: cache, leftMs, metrics: metrics.tokens },
    mint: (subject, replacing) => join(subject, "rejected", replacing),
    placed: (token) => placed(token, leftMs(token)),
  });

  const look = createMintLook({
    ...{ ...deps, held: cache, confirmations, idOf, usable: usableFor },
    ...{ isGood, placed: (token) => placed(token, leftMs(token)) },
    isUnderWay: ({ id }) => flights.has(id),
    answers: { noToken, sessionEnded, expired },
  });

  return {
    look,

    cached(owner) {
      const subject = kind.subjectOf(owner);
      const token = subject && cache.get(subject.id);
      if (subject === undefined || token === undefined) return undefined;
      const now = clock.monotonicMs();
      if (now >= token.staleAt || !isConfirmed(subject, token, now)) return undefined;
      if (now >= token.aheadAt) mintAhead(subject, token);
      metrics.tokens.count("cache_hit", upstream);
      return token;
    },

    async fresh(owner, deadline) {
      metrics.tokens.count("cache_miss", upstream);
      const subject = kind.subjectOf(owner);
      if (subject === undefined) return noToken;
      const found = await awaited(join(subject, "expired"), subject, deadline);
      return found.kind === "unavailable" ? (usable(subject) ?? found) : found;
    },

    rejected: replacements.rejected,
    replacement: replacements.replacement,
    heard(change) {
      if (change.isRejected) replacements.heard(change, change.version);
      shared.heard(change.session);
    },

    held: cache.size,
    settled,
  };

  /** Stops waiting while the token in hand can still be served. */
  async function awaited(flight: Promise<Found>, subject: Subject, deadline: Deadline): Promise<Found> {
    const held = cache.get(subject.id);
    const end = held === undefined ? Number.POSITIVE_INFINITY : usableUntil(held) - timerSlackMs;
    metrics.tokens.waiters(upstream, 1);
    try {
      if (end < deadline.at) {
        const found = await deadlineAt(clock, end).before<Found>(flight, () => hasty);
        if (found !== hasty || usable(subject) !== undefined) return found;
      }
      return await deadline.before<Found>(flight, () => hasty);
    } finally {
      metrics.tokens.waiters(upstream, -1);
    }
  }

  function usable(subject: Subject): Fresh | undefined {
    return usableFor(cache.get(subject.id), subject);
  }

  function usableFor(token: AccessToken | undefined, subject: Subject): Fresh | undefined {
    const now = clock.monotonicMs();
    const isUsable = token !== undefined && now < usableUntil(token) && isTrusted(subject, token, now);
    return isUsable ? { kind: "fresh", token } : undefined;
  }

  function mintAhead(subject: Subject, token: AccessToken): void {
    if (flights.has(subject.id)) return;
    void join(subject, "ahead", token.version).then(({ kind }) => {
      if (kind === "fresh" || cache.get(subject.id)?.version !== token.version) return;
      cache.change(subject.id, { ...token, aheadAt: clock.monotonicMs() + aheadRetryMs });
    });
  }

  /** @param replacing the version that is good for now, and near its end */
  function join(subject: Subject, trigger: RefreshTrigger, replacing?: string): Promise<Found> {
    const { id } = subject;
    const underWay = flights.get(id);
    underWay?.waits();
    if (underWay !== undefined) return underWay.result;
    const { result: work, waits } = tracing.follow(upstream, trigger, () => obtain(subject, replacing));
    const result = deadlineIn(clock, config.timeoutMs).before<Found>(work, () => tooLate);
    flights.set(id, { result, waits });
    void result.then(({ kind: ending }) => {
      flights.delete(id);
      const now = clock.monotonicMs();
      if (ending === "unavailable") cache.restore(id, now, now + aheadRetryMs);
    });
    track(work);
    return result;
  }

  async function obtain(subject: Subject, replacing: string | undefined): Promise<Found> {
    const at = clock.monotonicMs();
    if (!kind.ofSessions) return bring(subject, replacing, { at, state: "living" });
    const state = await confirm(subject);
    if (state === "ended") return sessionEnded;
    if (subjectLeftMs(subject) <= 0) return expired;
    const found = await bring(subject, replacing, { at, state });
    if (found.kind !== "fresh" || clock.monotonicMs() < at + config.maxStalenessMs) return found;
    // That took so long that the session may have ended meanwhile, and the token too.
    if ((await confirm(subject)) === "ended") return sessionEnded;
    return clock.monotonicMs() < found.token.expiresAt ? found : tooLate;
  }

  async function bring(subject: Subject, replacing: string | undefined, look: SessionLook): Promise<Found> {
    // Another flight may have brought it since this one was asked for.
    const held = usable(subject);
    if (held !== undefined && held.token.version !== replacing && clock.monotonicMs() < held.token.staleAt) return held;
    const actor = await actors?.look();
    // The call says in the log what is wrong with it.
    if (actors !== undefined && actor === undefined)
      return call(subject).then((result) => (result.kind === "tokens" ? tooLate : result));
    const id = idOf(subject, actor);
    const turn = await shared.findOrTakeTurn(id, (token) => token.version !== replacing && isGood(token));
    if (turn.kind === "found") {
      metrics.mints.minted(upstream, "shared");
      return keep(subject, turn.token, placed(turn.token, leftMs(turn.token)), look);
    }
    const asked = { wall: clock.wallMs(), monotonic: clock.monotonicMs() };
    const result = await call(actor === undefined ? subject : { ...subject, actor });
    if (result.kind !== "tokens" || subjectLeftMs(subject) <= 0) {
      const failure = result.kind === "tokens" ? expired : result;
      track(turn.end(endingOf(failure)));
      return failure;
    }
    const { tokens, sentAt } = result;
    const { accessToken, expiresInMs = config.lifeMs } = tokens;
    if (accessToken === undefined) {
      const failure = { kind: "unavailable", why: "response_without_tokens" } as const;
      track(turn.end(failure));
      return failure;
    }
    const mintedAt = asked.wall + (sentAt - asked.monotonic);
    const lifeMs = Math.min(expiresInMs, subjectLeftMs(subject, mintedAt));
    // The one before it may have been rejected since the turn began, while this call waited until it was sent.
    const { after = cache.last(id)?.version ?? "" } = turn;
    const isSuccessor = turn.isSuccessor || cache.isRejected(after, sentAt);
    const version = versionOf(id, random.id());
    const made = { ...{ version, token: accessToken, mintedAt, lifeMs, isSuccessor }, of: ofSubject(subject) };
    // Nobody waits until it is shared: a token that is lost can be minted again.
    track(turn.end({ kind: "tokens", token: made }));
    // This process stood still while the answer came.
    if (clock.monotonicMs() >= sentAt + lifeMs) return tooLate;
    return keep(subject, made, placed(made, lifeMs, sentAt), look);
  }

  function isGood(token: SharedToken): boolean {
    return !cache.isRejected(token.version) && clock.monotonicMs() < placed(token, leftMs(token)).staleAt;
  }

  /** Another actor may get another token. */
  function idOf({ id }: Subject, actor: Actor | undefined): string {
    return digestOf(...scope, ...(actor === undefined ? [] : ["actor", actor.identity]), id);
  }

  function subjectLeftMs({ expiresAt = Number.POSITIVE_INFINITY }: Subject, wallMs = clock.wallMs()): number {
    return expiresAt - wallMs;
  }

  /** By the wall clocks of two machines: one that is set back must not make a life longer than it was. */
  function leftMs({ mintedAt, lifeMs }: SharedToken): number {
    return Math.min(mintedAt + lifeMs - clock.wallMs(), lifeMs);
  }

  function placed(
    { version, token, lifeMs }: SharedToken,
    remainingMs: number,
    from = clock.monotonicMs(),
  ): AccessToken {
    const grant = { version, isOfAll: !kind.ofSessions };
    return placeAccessToken({ token, remainingMs, lifeMs }, grant, from, config, random.fraction());
  }

  /**
   * Nothing is minted ahead for a subject that ends with the token: the next token would not live longer.
   * @param look at the session: it may have ended since then, while the mint was under way
   */
  function keep(subject: Subject, made: SharedToken, token: AccessToken, look: SessionLook): Found {
    const { mintedAt, lifeMs, isSuccessor } = made;
    const isLast = subjectLeftMs(subject, mintedAt + lifeMs) <= 0;
    const kept = { ...looked(token, look), aheadAt: isLast ? Number.POSITIVE_INFINITY : token.aheadAt };
    cache.set(subject, kept, isSuccessor);
    return { kind: "fresh", token: kept };
  }
}
