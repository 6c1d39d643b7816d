import type { TokenAnswer } from "../../src/tokens/token-manager.ts";
import type { Stretch } from "./facts.ts";
import type { Judge } from "./judge.ts";

/** One request for a token, and what it got. */
export interface Asking {
  readonly by: string;
  readonly session: string;
  readonly at: number;
  readonly waitMs: number;
  answeredAt?: number;
}

/** Timers fire up to a millisecond late; and a change needs some for its way. */
const timerMs = 5;
const messageMs = 500;
/** A flight may have read before the one who asks joined it. */
const flightMs = 12_000;

/** Judges an answer as it is given. */
export function judgeAnswer(judge: Judge, asking: Asking, answer: TokenAnswer): void {
  const { by, at, waitMs } = asking;
  const now = judge.now();
  judge.count("answers");
  if (now > at + waitMs + timerMs && judge.process(by)?.wasFrozen(at, now) === false)
    judge.violated("deadline", `${by} answered after ${Math.round(now - at)} ms, ${waitMs} were given`);
  switch (answer.kind) {
    case "fresh":
      judge.count("fresh");
      isServable(judge, asking, answer.token.token.reveal(), answer.token.version);
      break;
    case "missing":
      judge.count("missing");
      isMissing(judge, asking);
      break;
    case "refused":
      judge.count("refused");
      isRefused(judge, asking);
      break;
    default:
      judge.count("unavailable");
      isUnavailable(judge, asking, answer);
  }
}

/** A token is served only once it is stored, while it lives, and of a session that has not ended. */
function isServable(judge: Judge, asking: Asking, token: string, version: string): void {
  const { facts, server, violated, now } = judge;
  const issued = server.accessToken(token);
  // A write that was long on its way counts the token's life from its arrival: nobody can tell it how long it was.
  if (issued === undefined || issued.until + facts.lateness(version) <= now())
    violated("expired_served", `${asking.by} serves ${token}, which ended at ${issued?.until}`);
  if (!facts.wasWritten(version))
    violated("unstored_served", `${asking.by} serves ${token} of ${version}, which is not stored`);
  if (issued === undefined) return;
  if (issued.until <= now()) judge.count("expiredByLateWrite");
  const next = afterLast(judge, asking.session, issued.family.login);
  const over = next?.at ?? now();
  if (over >= asking.at || next?.byLoss) return;
  const heardAt = facts.heardAt(asking.by, next?.version ?? "");
  if (next !== undefined && heardAt >= over && heardAt < asking.at)
    violated(
      "ended_session_served",
      `${asking.by} serves ${token} of login ${issued.family.login}, and has heard of ${next.version} (asked at ${asking.at})`,
    );
  if (asking.at - over > allowedStalenessMs(judge, asking, over))
    violated(
      "ended_session_served",
      `${asking.by} serves ${token} of login ${issued.family.login}, which ended at ${over} (asked at ${asking.at})`,
    );
}

/** What the store held when it held nothing of that login any more. */
function afterLast({ facts, server }: Judge, session: string, login: number): Stretch | undefined {
  const all = facts.stretches(session);
  const index = all.findLastIndex(
    ({ refreshToken }) => server.refreshToken(refreshToken ?? "")?.family.login === login,
  );
  return all[index + 1];
}

/** None where this process ended it, maxStaleness where it could hear of it, else as long as an outage is borne. */
function allowedStalenessMs({ facts, process, rules, now }: Judge, { by, session, at }: Asking, over: number): number {
  const own = facts.writes(session).some((write) => write.by === by && write.at === over && facts.wasTold(write, at));
  if (own) return 0;
  return process(by)?.wasUnwell(over - rules.maxStalenessMs, now())
    ? rules.maxOutageMs + flightMs
    : rules.maxStalenessMs + messageMs;
}

/** "No login" only where there was none, or where it was revoked. */
function isMissing(judge: Judge, asking: Asking): void {
  const ended = seenBy(judge, asking).filter(({ state }) => state === "none" || state === "revoked");
  if (ended.length === 0)
    judge.violated("unfounded_401", `${asking.by} says that ${asking.session} has no login (asked at ${asking.at})`);
  else if (ended.every(({ byLoss }) => byLoss)) judge.count("missingByLoss");
}

/** "Refused" only where the provider refused the token that was stored; store-rules.ts sees to the latter. */
function isRefused(judge: Judge, asking: Asking): void {
  const dead = seenBy(judge, asking).some(({ state }) => state === "dead" || state === "none");
  if (!dead)
    judge.violated("unfounded_401", `${asking.by} says that ${asking.session} was refused (asked at ${asking.at})`);
}

/**
 * Long after the last fault only a back-off stands between a request and its token; and a failure in the code is none
 * of the world's.
 */
function isUnavailable({ violated, settledAt }: Judge, { by, session, at, waitMs }: Asking, answer: TokenAnswer): void {
  const why = "why" in answer ? answer.why : answer.kind;
  if (why === "internal_error") violated("internal_error", `${by} fails at ${session}`);
  if (at > settledAt() && waitMs >= 12_000 && why !== "back_off")
    violated("not_recovered", `${by} still answers ${why} for ${session}`);
}

/** What the store held while the answer was being made. */
function seenBy({ facts, process, now }: Judge, { by, session, at }: Asking): readonly Stretch[] {
  const well = process(by)?.wasUnwell(at - flightMs, now()) === false;
  return facts.during(session, at - (well ? messageMs : flightMs), now());
}
