import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { TokenAnswer } from "../tokens/answers.ts";
import { type Foreseen, type HeldLook, heldLook } from "../tokens/look.ts";
import type { Owner } from "../tokens/owner.ts";
import type { Confirmations } from "./confirmations.ts";
import type { SessionEnds, SessionState } from "./ended-sessions.ts";
import type { HeldTokens } from "./held-tokens.ts";
import type { Actor, MintKind, Subject } from "./kind.ts";
import type { MintCall } from "./mint-call.ts";
import type { SharedToken } from "./shared-records.ts";
import { goodIn, type SharedTokens } from "./shared-tokens.ts";

/** How a session stands at an upstream whose tokens are minted. It holds a token only within `foreseen`. */
export interface MintLook {
  readonly foreseen: Foreseen;
  readonly held: HeldLook | undefined;
  /** Whether the session was ended; undefined where the tokens are of no session. */
  readonly session: SessionState | undefined;
  /** What is left of the session's own token, by which one is asked for, ms; undefined where none is. */
  readonly subjectExpiresInMs: number | undefined;
  /** What is left of the token that replicas share, ms; undefined where there is none, or the store does not say. */
  readonly sharedExpiresInMs: number | undefined;
  /** Whether its API rejected the token that replicas share, and how often rejections were not believed in a row. */
  readonly isRejected: boolean;
  readonly rejectionHolds: number;
  readonly breakerMs: number;
  readonly isUnderWay: boolean;
}

interface MintLookDeps {
  readonly kind: Pick<MintKind, "ofSessions" | "subjectOf" | "actor" | "hindranceOf">;
  readonly held: HeldTokens;
  readonly confirmations: Pick<Confirmations, "isTrusted">;
  readonly ended: Pick<SessionEnds, "peek">;
  readonly shared: Pick<SharedTokens, "look" | "isMinting">;
  readonly call: Pick<MintCall, "hindranceOf" | "breakerMs">;
  readonly isUnderWay: (subject: Subject) => boolean;
  /** Whether a shared token may be served. */
  readonly isGood: (token: SharedToken) => boolean;
  readonly placed: (token: SharedToken) => AccessToken;
  readonly usable: (token: AccessToken | undefined, subject: Subject) => TokenAnswer | undefined;
  readonly idOf: (subject: Subject, actor: Actor | undefined) => string;
  readonly answers: {
    readonly noToken: TokenAnswer;
    readonly sessionEnded: TokenAnswer;
    readonly expired: TokenAnswer;
  };
  readonly clock: Clock;
}

/** Looks as a request would, and neither asks the provider nor takes the turn to. Never rejects. */
export function createMintLook(deps: MintLookDeps) {
  const { kind, held, confirmations, ended, shared, call, usable, idOf, answers, clock } = deps;

  return async function look(owner: Owner, deadline: Deadline): Promise<MintLook> {
    const subject = kind.subjectOf(owner);
    const now = clock.monotonicMs();
    const breakerMs = call.breakerMs();
    if (subject === undefined) return { ...nothing, breakerMs, foreseen: answered(answers.noToken) };
    const token = held.peek(subject.id);
    const isServed = token !== undefined && now < token.staleAt && confirmations.isTrusted(subject, token, now);
    const { expiresAt = Number.POSITIVE_INFINITY } = subject;
    const session = kind.ofSessions
      ? await deadline.before(ended.peek(subject), (): SessionState => "unknown")
      : undefined;
    const actor = await kind.actor?.().catch(() => undefined);
    const id = idOf(subject, actor);
    const found = await deadline.before(shared.look(id).catch(nobody), nobody);
    const about: Omit<MintLook, "foreseen"> = {
      ...{ session, breakerMs, isUnderWay: deps.isUnderWay(subject) },
      held: token && heldLook(token, now, isServed),
      subjectExpiresInMs: Number.isFinite(expiresAt) ? expiresAt - clock.wallMs() : undefined,
      isRejected: found?.token !== undefined && found.rejection?.rejected === found.token.version,
      rejectionHolds: found?.rejection?.holds ?? 0,
      sharedExpiresInMs: found?.token && deps.placed(found.token).expiresAt - now,
    };
    return { ...about, foreseen: await foreseen(subject) };

    async function foreseen(subject: Subject): Promise<Foreseen> {
      if (token !== undefined && isServed) return answered({ kind: "fresh", token });
      if (session === "ended") return answered(answers.sessionEnded);
      if (kind.ofSessions && expiresAt <= clock.wallMs()) return answered(answers.expired);
      const good = found && goodIn(found, deps.isGood);
      if (good !== undefined) return answered({ kind: "fresh", token: deps.placed(good) });
      const backed = usable(token, subject);
      const hindrance = call.hindranceOf(subject) ?? kind.hindranceOf?.(subject);
      if (hindrance !== undefined)
        return answered(hindrance.kind === "unavailable" ? (backed ?? hindrance) : hindrance);
      const isMinting = await deadline.before(
        shared.isMinting(id).catch(() => false),
        () => false,
      );
      return { kind: "depends", on: isMinting ? "lease" : "mint", isBacked: backed !== undefined };
    }
  };
}

const nothing: Omit<MintLook, "foreseen" | "breakerMs"> = {
  ...{ held: undefined, session: undefined, subjectExpiresInMs: undefined, sharedExpiresInMs: undefined },
  ...{ isRejected: false, rejectionHolds: 0, isUnderWay: false },
};

function answered(answer: TokenAnswer): Foreseen {
  return { kind: "answer", answer };
}

function nobody(): undefined {}
