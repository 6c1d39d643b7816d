import type { Clock } from "../platform/clock.ts";
import type { RunningWork } from "../platform/running-work.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { ActorWatch } from "./actor-watch.ts";
import type { SessionEnds, SessionState } from "./ended-sessions.ts";
import type { HeldTokens } from "./held-tokens.ts";
import type { Actor, MintKind, Subject } from "./kind.ts";
import type { MinterConfig } from "./minter-config.ts";
import { sharedIdOf } from "./shared-records.ts";

/** What a look at a session showed, and when it began, monotonic ms. */
export interface SessionLook {
  readonly at: number;
  readonly state: SessionState;
}

/** Whether the sessions of held tokens still live, and whether the same one acts for them. */
export interface Confirmations {
  /**
   * Whether a held token may be served. What has not been looked at for long is looked at in the background, before a
   * request has to wait for that. Synchronous: the hot path.
   */
  isConfirmed(subject: Subject, token: AccessToken, now: number): boolean;
  /** Whether it may be served where no other one can be had. */
  isTrusted(subject: Subject, token: AccessToken, now: number): boolean;
  /** Asks the store whether the session has ended, and drops the token where it may not be served any more. */
  confirm(subject: Subject): Promise<SessionState>;
  /** The token as it is held, for which the session was looked at before it was got. */
  looked(token: AccessToken, look: SessionLook): AccessToken;
}

interface ConfirmationsDeps {
  readonly kind: Pick<MintKind, "ofSessions">;
  /** Absent where nobody acts for sessions. */
  readonly actors: ActorWatch | undefined;
  readonly ended: SessionEnds;
  readonly held: HeldTokens;
  /** Under which id replicas share the subject's token. */
  readonly idOf: (subject: Subject, actor: Actor) => string;
  readonly config: Pick<MinterConfig, "maxStalenessMs" | "maxOutageMs">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly track: RunningWork["track"];
}

/** The store is asked again this long after it did not answer, ms. */
const storeRetryMs = 1_000;
/**
 * A session whose end would have been heard is looked at all the same when it is asked for this long after the last
 * time, ms: Redis may have taken the record of an end, and not the message.
 */
const longestUnaskedMs = 60_000;

export function createConfirmations(deps: ConfirmationsDeps): Confirmations {
  const { kind, actors, ended, held, idOf, config, clock, track } = deps;
  const looking = new Set<string>();

  return {
    isConfirmed(subject, token, now) {
      if (!kind.ofSessions) return true;
      const { confirmedAt } = token;
      const actingSince = actors?.since(now) ?? Number.NEGATIVE_INFINITY;
      const soon = now + config.maxStalenessMs / 2;
      const isSure =
        hasAnswered(token) &&
        ended.isCurrent(subject, confirmedAt, soon) &&
        now < confirmedAt + longestUnaskedMs &&
        (actors === undefined || (actors.isWatched(now) && actingSince < confirmedAt));
      if (isSure) return true;
      if (now >= token.unaskedUntil && !looking.has(subject.id)) {
        looking.add(subject.id);
        track(confirm(subject).then(() => looking.delete(subject.id)));
      }
      return isTrusted(subject, token, now);
    },
    isTrusted,
    confirm,
    looked: (token, { at, state }) => ({ ...token, confirmedAt: at, unaskedUntil: unaskedUntil(state) }),
  };

  /**
   * Longer while the store cannot be asked. That it could not be asked once says nothing later on: a session that is
   * seldom used would be served long after its end.
   */
  function isTrusted(subject: Subject, token: AccessToken, now: number): boolean {
    if (!kind.ofSessions) return true;
    if (actors?.isWatched(now) === false) return false;
    const { confirmedAt, unaskedUntil } = token;
    if (hasAnswered(token)) return ended.isCurrent(subject, confirmedAt, now);
    const until = Math.min(confirmedAt + config.maxOutageMs, unaskedUntil + config.maxStalenessMs);
    return now < until && !ended.mayHaveEnded(subject, confirmedAt);
  }

  function unaskedUntil(state: SessionState): number {
    return state === "unknown" ? clock.monotonicMs() + storeRetryMs : Number.NEGATIVE_INFINITY;
  }

  async function confirm({ id, ...subject }: Subject): Promise<SessionState> {
    const from = clock.monotonicMs();
    const [state, actor] = await Promise.all([ended.look({ id, ...subject }), held.get(id) && actors?.look()]);
    const token = held.get(id);
    if (token === undefined) return state;
    const isOfAnother = actor !== undefined && sharedIdOf(token.version) !== idOf({ id }, actor);
    if (state === "ended" || isOfAnother) held.delete(id);
    else if (state === "living") held.change(id, { ...token, confirmedAt: from, unaskedUntil: unaskedUntil(state) });
    else token.unaskedUntil = unaskedUntil(state);
    return state;
  }
}

/** Whether the store has said that the session lived, when it was asked last. Otherwise no heartbeat vouches for it. */
function hasAnswered({ unaskedUntil }: AccessToken): boolean {
  return unaskedUntil === Number.NEGATIVE_INFINITY;
}
