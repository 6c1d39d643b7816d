import type { Stretch } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Executed } from "./sim-store.ts";
import { judgeRenewal, judgeWaiting } from "./slot-rules.ts";

/** How long the successor of a rejected token is left alone at first, ms. */
const firstHoldMs = 60_000;

/** Judges a call that the store carried out; `before` is what it found. */
export function judgeCall(judge: Judge, executed: Executed, before: Stretch): void {
  const { call, result } = executed;
  judgeRenewal(judge, executed);
  judgeWaiting(judge, executed);
  if (isRefresh(judge, executed)) {
    isNoResurrection(judge, executed, before);
    isSuccessor(judge, executed, before);
    if (before.byLoss) judge.count("writtenBack");
  }
  if (call.op === "put" && result === "written") isNoStepBack(judge, executed, before);
  if (call.op === "refuse" && result === "dead") isRefused(judge, executed, before);
  if (call.op === "reject" && kindOf(executed) === "rejected") isBounded(judge, executed);
}

/**
 * An API that rejects every token causes no refreshes without end: between the rejections of a token and its successor a
 * minute passes, unless the store has lost what it knew.
 */
function isBounded({ facts, violated, now }: Judge, { by, call }: Executed): void {
  if (call.op !== "reject" || facts.losses(call.key.session).some((at) => at > now() - firstHoldMs)) return;
  const other = facts.rejections(call.key.session).at(-1);
  if (other?.call.op !== "reject" || other.call.version === call.version || other.at <= now() - firstHoldMs) return;
  const writes = facts.writes(call.key.session).filter(({ at }) => at > other.at);
  if (writes.some((write) => write.call.op === "put")) return;
  const [earlier, later] = [other.call.version, call.version];
  const isSuccessor = writes.some(
    ({ call }) => call.op === "commit" && call.from === earlier && call.write.version === later,
  );
  if (isSuccessor) violated("rejections_unbounded", `${by} rejects ${later}, and ${earlier} before`);
}

function kindOf({ result }: Executed): string | undefined {
  return typeof result === "object" ? result.kind : undefined;
}

/** Whether it wrote what came of a refresh; by whichever operation. */
function isRefresh({ server }: Judge, { call, result }: Executed): boolean {
  if (call.op === "commit") return result === "written";
  return (
    call.op === "put" &&
    result === "written" &&
    server.refreshToken(call.write.grant.refreshToken?.reveal() ?? "")?.parent !== undefined
  );
}

/** Nothing but a login brings an ended session back. */
function isNoResurrection({ violated }: Judge, { by, call }: Executed, before: Stretch): void {
  if (before.state === "revoked") violated("resurrected", `${by} commits over the tombstone of ${call.key.session}`);
}

/** What is stored only moves on: to what came of it, or to what is newer than what a failover has brought back. */
function isSuccessor({ facts, server, violated, count }: Judge, { by, call }: Executed, before: Stretch): void {
  if (!("write" in call) || before.byLoss || before.refreshToken === undefined) return;
  const token = call.write.grant.refreshToken?.reveal() ?? "";
  if (token === before.refreshToken || server.descends(token, before.refreshToken)) return;
  const writes = facts.writes(call.key.session);
  if (isWrittenBackInOrder(writes, before.version, call.write.version)) return;
  if (lostInOrder({ facts, server }, call.key.session, before.version, token)) return;
  const lost = facts.losses(call.key.session).length > 0;
  // A failover took what the first answer had brought, and the late answer to a call that had been given up came before
  // that was written back: either is good.
  if (lost && server.areSiblings(token, before.refreshToken) && server.isGood(token)) return;
  if (lost && server.isLater(token, before.refreshToken)) return;
  if (lost && isOfLoginBroughtBack({ facts, server }, call.key.session, token, before.refreshToken))
    count("loginsOvertaken");
  else violated("clobbered", `${by} commits ${token} over ${before.refreshToken}, which it did not come of`);
}

/**
 * A failover had brought an earlier login back, which was refreshed before the later one was written back; and the
 * process that did both never knew that the one came after the other, as the logins between them were lost with their
 * writers' links.
 */
function isOfLoginBroughtBack(
  { facts, server }: Pick<Judge, "facts" | "server">,
  session: string,
  token: string,
  over: string,
): boolean {
  const loginOf = (refreshToken: string | undefined) => server.refreshToken(refreshToken ?? "")?.family.login;
  const login = loginOf(token);
  return (
    login !== loginOf(over) &&
    facts.stretches(session).some(({ byLoss, refreshToken }) => byLoss && loginOf(refreshToken) === login)
  );
}

/**
 * The store had both already, in this order: of two logins at the same time the later one here may be the earlier one
 * at the provider.
 */
function isWrittenBackInOrder(writes: readonly Executed[], before: string, version: string): boolean {
  const versions = writes.map(({ call }) => ("write" in call ? call.write.version : ""));
  return versions.includes(before) && versions.indexOf(before) < versions.indexOf(version);
}

/**
 * The store had the login that the token came of after the version that it replaces now, and lost both: the refresh
 * began in between.
 */
function lostInOrder(
  { facts, server }: Pick<Judge, "facts" | "server">,
  session: string,
  before: string,
  token: string,
): boolean {
  const writes = facts.writes(session);
  const replaced = writes.findIndex(({ call }) => "write" in call && call.write.version === before);
  return (
    replaced >= 0 &&
    writes.slice(replaced + 1).some((write) => {
      if (!("write" in write.call) || facts.lostAt(write) === undefined) return false;
      return server.descends(token, write.call.write.grant.refreshToken?.reveal() ?? "");
    })
  );
}

/** A login that is written again, or late, leaves alone what came of it meanwhile, and what ended it. */
function isNoStepBack({ server, violated }: Judge, { by, call }: Executed, before: Stretch): void {
  if (call.op !== "put") return;
  const token = call.write.grant.refreshToken?.reveal() ?? "";
  if (server.descends(before.refreshToken, token))
    violated("clobbered", `${by} writes the login of ${token} over ${before.refreshToken}, which came of it`);
  if (before.state === "revoked" && call.over !== before.version)
    violated("resurrected", `${by} writes a login over a tombstone that it has not seen`);
}

/** A grant is dead only where the provider refused the very token that it holds. */
function isRefused({ ledger, violated }: Judge, { by, call }: Executed, before: Stretch): void {
  const refused = ledger.of(before.refreshToken ?? "").some(({ refusedAt }) => refusedAt !== undefined);
  if (!refused)
    violated(
      "dead_without_refusal",
      `${by} marks ${call.key.session} dead, and ${before.refreshToken} was not refused`,
    );
}
