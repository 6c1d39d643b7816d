import type { Stretch } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Executed } from "./sim-store.ts";

/** Judges a call that the store carried out; `before` is what it found. */
export function judgeCall(judge: Judge, executed: Executed, before: Stretch): void {
  const { call, result } = executed;
  if (isRefresh(judge, executed)) {
    isNoResurrection(judge, executed, before);
    isSuccessor(judge, executed, before);
    if (before.byLoss) judge.count("writtenBack");
  }
  if (call.op === "refuse" && result === "dead") isRefused(judge, executed, before);
}

/** Whether it wrote what came of a refresh; by whichever operation. */
function isRefresh({ server }: Judge, { call, result }: Executed): boolean {
  if (call.op === "commit") return result === "written";
  return call.op === "put" && server.refreshToken(call.write.grant.refreshToken?.reveal() ?? "")?.parent !== undefined;
}

/** Nothing but a login brings an ended session back. */
function isNoResurrection({ facts, violated, count }: Judge, { by, call }: Executed, before: Stretch): void {
  if (before.state === "revoked") violated("resurrected", `${by} commits over the tombstone of ${call.key.session}`);
  if (before.state !== "none") return;
  const ending = facts.writes(call.key.session).findLast((write) => write.call.op === "put" || write.call.op === "revoke");
  if (ending?.call.op === "revoke") count("revocationsLost");
}

/** A commit replaces only what its tokens came of. */
function isSuccessor({ facts, server, violated }: Judge, { by, call }: Executed, before: Stretch): void {
  const token = "write" in call ? call.write.grant.refreshToken?.reveal() : undefined;
  // What a failover brought back may be older than the last login: a version that came later may take its place.
  const since = "write" in call ? facts.firstWritten(call.write.version) : Number.POSITIVE_INFINITY;
  const cameLater = Number.isFinite(since) && facts.firstWritten(before.version) < since;
  const isSibling = token !== undefined && before.refreshToken !== undefined && server.isLaterOfSameLogin(token, before.refreshToken);
  if (
    before.byLoss ||
    cameLater ||
    isSibling ||
    before.refreshToken === undefined ||
    token === before.refreshToken ||
    server.descends(token, before.refreshToken)
  )
    return;
  violated("clobbered", `${by} commits ${token} over ${before.refreshToken}, which it did not come of`);
}

/** A grant is dead only where the provider refused the very token that it holds. */
function isRefused({ ledger, violated }: Judge, { by, call }: Executed, before: Stretch): void {
  const refused = ledger.of(before.refreshToken ?? "").some(({ refusedAt }) => refusedAt !== undefined);
  if (!refused) violated("dead_without_refusal", `${by} marks ${call.key.session} dead, and ${before.refreshToken} was not refused`);
}
