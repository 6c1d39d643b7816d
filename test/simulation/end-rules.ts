import type { TokenAnswer } from "../../src/tokens/token-manager.ts";
import type { Judge } from "./judge.ts";
import type { Presentation } from "./ledger.ts";

/** Acquired so long before it was sent, at most, ms: something else was written since, where the commit found it. */
const acquiredBeforeMs = 5_500;

/** Judges a whole history, long after its last fault. */
export function judgeEnd(judge: Judge): void {
  for (const presentation of judge.ledger.all()) {
    if (presentation.ending === "unknown" || presentation.ending === "pending") judge.count("unknownEndings");
    isNotDropped(judge, presentation);
  }
}

/** A live process drops a rotated token only for a put, a revoke or another commit. */
function isNotDropped({ facts, process, violated }: Judge, { by, session, successor, sentAt, number }: Presentation): void {
  if (successor === undefined || process(by)?.isEnded() !== false) return;
  const since = facts.writes(session).filter(({ at, call }) => at >= sentAt - acquiredBeforeMs && call.op !== "refuse");
  if (since.length > 0) return;
  violated("token_dropped", `${by} got ${successor} and did not store it (${number})`);
}

/** After the troubles, whoever can be served is. `answer` is what a live process said last. */
export function judgeRecovery(judge: Judge, session: string, by: string, askedAt: number, answer: TokenAnswer): void {
  const { facts, server, violated } = judge;
  const { state, refreshToken, at } = facts.now(session);
  if (state !== "active" || at > askedAt || refreshToken === undefined || !server.isGood(refreshToken)) return;
  if (answer.kind === "fresh" || (answer.kind === "unavailable" && answer.why === "back_off")) return;
  violated("not_recovered", `${by} answers ${JSON.stringify(answer)} for ${session}, whose ${refreshToken} is good`);
}

/** How logins ended that nobody ended. */
export function countLost({ facts, server, ledger, process, count, violated }: Judge, session: string): void {
  const { state, refreshToken } = facts.now(session);
  if (state !== "active" && state !== "dead") return;
  const issued = server.refreshToken(refreshToken ?? "");
  if (issued === undefined) return;
  const leaves = ledger.all().filter(({ successor }) => successor !== undefined && server.descends(successor, issued.token) && server.isGood(successor));
  const held = leaves.find(({ by }) => process(by)?.isEnded() === false);
  if (!server.isGood(issued.token) && held !== undefined && facts.losses(session).length === 0)
    violated("token_dropped", `${held.by} got ${held.successor}, which is good, and the store holds ${issued.token}`);
  if (issued.family.revoked) count("sessionsEndedByReuse");
}
