import { parseObject } from "../../src/platform/json-object.ts";
import type { TokenAnswer } from "../../src/tokens/answers.ts";
import type { History } from "./history.ts";
import type { MintPlan } from "./mint-plan.ts";
import type { Issued, MintCall, MintIssuer } from "./mint-provider.ts";
import type { FlowCall, MintStore } from "./mint-store.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";

/** What must never happen to minted tokens. */
export type MintRule =
  | "another_subject"
  | "expired_served"
  | "outlives_subject"
  | "ended_served"
  | "ended_served_in_outage"
  | "unfounded_401"
  | "two_at_once"
  | "needless_call"
  | "rejected_again"
  | "not_healed"
  | "rejections_unbounded"
  | "everybody_unbounded"
  | "deadline"
  | "not_recovered";

export type MintFigure =
  | "answers"
  | "fresh"
  | "refused"
  | "unavailable"
  | "calls"
  | "crashes"
  | "failovers"
  | "sessionsEnded"
  | "rejections"
  | "believed"
  | "healed"
  | "holds";

/** A session's own token: what a token is minted for. */
export interface SimJwt {
  readonly id: string;
  readonly session: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

interface End {
  /** By the issuer's clock, and when the store had it. */
  readonly endedAt: number;
  readonly at: number;
}

export interface MintJudgeDeps {
  readonly clock: SimClock;
  readonly history: History;
  readonly plan: MintPlan;
  readonly issuer: () => MintIssuer;
  readonly store: () => MintStore;
  readonly process: (name: string) => SimProcess | undefined;
  /** Whether that process may have missed messages since then. */
  readonly wasDeaf: (name: string, since: number) => boolean;
  readonly limits: {
    readonly aheadMs: number;
    readonly maxStalenessMs: number;
    readonly maxOutageMs: number;
    readonly timeoutMs: number;
  };
}

export type MintJudge = ReturnType<typeof createMintJudge>;

/** Clocks and timers are off by this much, ms, beside the skew of the plan. */
const slackMs = 1_500;
const minuteMs = 60_000;
/** From the last look of somebody who waits in vain to its own call, ms, with a store that is well. */
const lastLookMs = 300;

export function createMintJudge(deps: MintJudgeDeps) {
  const { clock, history, plan, issuer, store, process, wasDeaf, limits } = deps;
  const violations: { readonly at: number; readonly rule: MintRule; readonly text: string }[] = [];
  const figures = new Map<MintFigure, number>();
  const ends = new Map<string, End>();
  const lostEnds = new Map<string, End>();
  const tokenOf = new Map<string, string>();
  const believed = new Map<string, number>();
  const lastBelief = new Map<string, { readonly version: string; readonly at: number }>();
  const holds: { readonly id: string; readonly at: number }[] = [];
  const skewMs = 2 * plan.wallSkewMs + slackMs;
  /** From a look at the store to the call that follows it. */
  const lookMs = plan.slow + plan.provider.slow + plan.provider.lost > 0 ? limits.timeoutMs : 5;
  const troubleMs = limits.timeoutMs + 2_000;
  let crashedAt = Number.NEGATIVE_INFINITY;

  return {
    violations,
    figures,
    count,
    crashed(): void {
      count("crashes");
      crashedAt = clock.now();
    },
    violated,
    /** The token that a version stands for. */
    served: (version: string, token: string) => void tokenOf.set(version, token),
    isEnded: ({ session, issuedAt }: SimJwt) => issuedAt <= (ends.get(session)?.endedAt ?? Number.NEGATIVE_INFINITY),

    /** The store has carried a command out. */
    executed({ op, kind, id, value }: FlowCall, result: unknown): void {
      if (op === "end") learnEnd(id, Number(value));
      if (kind === "held" && op === "put" && result === true && value.includes(".")) {
        count("holds");
        holds.push({ id, at: clock.now() });
      }
      const version = kind === "rejected" && op === "set" ? parseObject(value)?.v : undefined;
      if (typeof version === "string" && !believed.has(version)) judgeBelief(id, version);
    },

    /** The store forgets what came after that. */
    lost(since: number): void {
      count("failovers");
      for (const [session, end] of ends)
        if (end.at > since) {
          lostEnds.set(session, end);
          ends.delete(session);
        }
    },

    called(call: MintCall): void {
      count("calls");
      const { by, of } = call;
      const now = clock.now();
      if (!isWell(by, now - troubleMs) || !store().wasWellSince(now - troubleMs)) return;
      const lately = issuer().calls.filter((other) => other.of === of && other.endedAt > now - troubleMs);
      const [other] = lately;
      const isRecent = other !== undefined && other.endedAt === Number.POSITIVE_INFINITY && now - other.at < 4_500;
      // Where replies get lost a turn can be nobody's, and with a slow provider a call waits for others of its process:
      // for longer than other replicas wait for it.
      const isQuick = plan.lost + plan.provider.lost + plan.provider.slow === 0;
      // Whoever has waited for the turn of a process that crashed has the less patience for the next one's.
      const isPatient = crashedAt < now - troubleMs;
      const isPrompt = isQuick && isPatient && isRecent && !hasQueued(other);
      if (isPrompt && lately.length === 1 && isWell(other.by, other.at - troubleMs))
        violated("two_at_once", `${by} asks for ${of} while ${other.by} does since ${other.at}`);
      const last = issuer().last(of);
      const giver = last && giverOf(last);
      if (last === undefined || giver === undefined || now - last.at < 3_000) return;
      const until = Math.min(last.until, jwtUntil(of));
      const aheadMs = Math.min(limits.aheadMs, (until - last.at) / 2);
      const isAlone = issuer().calls.every(
        (each) => each === giver || each.of !== of || each.endedAt < giver.at || each.at > giver.endedAt,
      );
      // Whoever has waited in vain for its turn, as others of its process hung, asks without one, and shares nothing: no
      // other process can know of that token.
      const isShared =
        isWell(by, now - 2 * troubleMs) &&
        !hasQueued(giver) &&
        !hasJustMissed(giver) &&
        isAlone &&
        giver.brought &&
        isWell(giver.by, giver.at - 2 * troubleMs) &&
        giver.endedAt < now - 3_000;
      if (isShared && !isRejected(last.token) && until - now > aheadMs + skewMs && !store().wasDownSince(last.at))
        violated("needless_call", `${by} asks for ${of} although ${last.token} is good until ${until}`);
    },

    /** @param of whose token it has to be */
    answered(by: string, jwt: SimJwt, of: string, answer: TokenAnswer): void {
      count("answers");
      const now = clock.now();
      switch (answer.kind) {
        case "fresh": {
          count("fresh");
          const token = answer.token.token.reveal();
          const issued = issuer().issued(token);
          if (issued?.of !== of) violated("another_subject", `${by} serves ${token} of ${issued?.of} to ${of}`);
          if (issued === undefined) return;
          if (now > issued.until + skewMs)
            violated("expired_served", `${by} serves ${token}, ended at ${issued.until}`);
          if (!plan.ofSessions) return;
          if (now > jwt.expiresAt + skewMs) violated("outlives_subject", `${by} serves ${token} beyond ${jwt.id}`);
          const end = ends.get(jwt.session);
          if (end === undefined || jwt.issuedAt > end.endedAt) return;
          const since = now - limits.maxStalenessMs - troubleMs;
          if (end.at < now - limits.maxStalenessMs - slackMs && isSound(by, since) && store().wasWellSince(since))
            violated("ended_served", `${by} serves ${token} to ${jwt.id}, which ended at ${end.at}`);
          const isSure = plan.lost === 0 && plan.slow === 0 && issued.at <= end.at;
          if (isSure && now > end.at + limits.maxOutageMs + limits.maxStalenessMs + slackMs)
            violated("ended_served_in_outage", `${by} serves ${token} to ${jwt.id}, which ended at ${end.at}`);
          return;
        }
        case "refused": {
          count("refused");
          const told = [ends.get(jwt.session), lostEnds.get(jwt.session)];
          const isFounded =
            (answer.why === "session_ended" && told.some((end) => end !== undefined && jwt.issuedAt <= end.endedAt)) ||
            (answer.why === "subject_token_expired" && jwt.expiresAt <= now + skewMs) ||
            issuer().refused(of) > now - 30_000;
          if (!isFounded) violated("unfounded_401", `${by} refuses ${jwt.id}: ${answer.why}`);
          return;
        }
        case "unavailable":
          count("unavailable");
          return;
        default:
          violated("unfounded_401", `${by} answers ${jwt.id} with ${answer.kind}`);
      }
    },
  };

  /** The latest end counts, in whichever order they come. */
  function learnEnd(session: string, endedAt: number): void {
    const before = ends.get(session)?.endedAt ?? Number.NEGATIVE_INFINITY;
    if (endedAt > before) ends.set(session, { endedAt, at: clock.now() });
  }

  function judgeBelief(id: string, version: string): void {
    const now = clock.now();
    const before = lastBelief.get(id);
    believed.set(version, now);
    lastBelief.set(id, { version, at: now });
    count("believed");
    if (before !== undefined && !store().wasDownSince(before.at - slackMs)) {
      const [first, second] = [before.version, version].map((each) => issuer().issued(tokenOf.get(each) ?? ""));
      const isNext = first !== undefined && second !== undefined && nextOf(first.number, first.of) === second.number;
      // Whoever cannot ask the store, or has asked it before, does not know that its token replaces a rejected one.
      const giver = second && giverOf(second);
      const knew = giver !== undefined && giver.at > before.at + lookMs && isWell(giver.by, giver.at - troubleMs);
      if (isNext && knew && !hasOtherBetween(first, giver) && now - before.at < minuteMs - slackMs)
        violated("rejections_unbounded", `${second.token} is replaced ${now - before.at} ms after ${first.token}`);
    }
    const isSure = plan.ofSessions && plan.lost === 0 && plan.crash === 0;
    const lately = holds.filter(({ at }) => at > now - minuteMs + 2_000 && at < now - 2_000);
    if (isSure && new Set(lately.map((hold) => hold.id)).size >= 6 && !store().wasDownSince(now - minuteMs))
      violated("everybody_unbounded", `${version} is replaced although six sessions' tokens stay`);
  }

  /** The number of the token that the same one got after that. */
  function nextOf(number: number, of: string): number | undefined {
    for (let next = number + 1; ; next++) {
      const issued = issuer().issued(`t${next}`);
      if (issued === undefined || issued.of === of) return issued?.number;
    }
  }

  /** Whether a slower call brought a token between the two: the second then took that one's place, not the first's. */
  function hasOtherBetween(first: Issued, giver: MintCall): boolean {
    const from = giverOf(first)?.endedAt ?? Number.POSITIVE_INFINITY;
    return issuer().calls.some(
      (each) => each.of === first.of && each.brought && each.endedAt > from && each.endedAt < giver.at,
    );
  }

  /** Whether a call may have waited for others of its process that hung, as its provider was down. */
  function hasQueued({ by, at }: MintCall): boolean {
    return issuer().calls.some((each) => each.by === by && each.at < at - 1_000 && each.endedAt >= at - 5);
  }

  /** Whether a call may have begun without a turn just as the call of another process that had it ended. */
  function hasJustMissed({ by, of, at }: MintCall): boolean {
    const isLong = (each: MintCall) => each.endedAt - each.at > limits.timeoutMs / 2 - slackMs;
    return issuer().calls.some(
      (each) =>
        each.of === of && each.by !== by && each.endedAt <= at && each.endedAt > at - lastLookMs && isLong(each),
    );
  }

  /** The call that brought a token. */
  function giverOf({ of, at }: Issued): MintCall | undefined {
    return issuer().calls.findLast((each) => each.of === of && each.at <= at);
  }

  function isRejected(token: string): boolean {
    return [...believed.keys()].some((version) => tokenOf.get(version) === token);
  }

  function jwtUntil(of: string): number {
    return plan.ofSessions ? Number(of.split("@")[1]) : Number.POSITIVE_INFINITY;
  }

  /** Whether a process could do all of its part. */
  function isWell(name: string, since: number): boolean {
    return isSound(name, since) && !wasDeaf(name, since);
  }

  /** That it hears nothing is no excuse for serving what was ended. */
  function isSound(name: string, since: number): boolean {
    return process(name)?.wasUnwell(since, clock.now()) === false;
  }

  function count(figure: MintFigure): void {
    figures.set(figure, (figures.get(figure) ?? 0) + 1);
  }

  function violated(rule: MintRule, text: string): void {
    violations.push({ at: clock.now(), rule, text });
    history.note("JUDGE", rule, text);
  }
}
