import type { TokenAnswer } from "../../src/tokens/token-manager.ts";
import type { StoreCall } from "../stores/store-call.ts";
import type { Judge } from "./judge.ts";
import type { Presentation } from "./ledger.ts";
import { rememberedMs } from "./presentation-rules.ts";
import type { Executed } from "./sim-store.ts";

/** Acquired so long before it was sent, at most, ms: something else was written since, where the commit found it. */
const acquiredBeforeMs = 5_500;

/** A process that is well for so long has written what it remembers, ms. */
const writesBackMs = 4_000;

/** Judges a whole history, long after its last fault. */
export function judgeEnd(judge: Judge): void {
  for (const presentation of judge.ledger.all()) {
    if (presentation.ending === "unknown" || presentation.ending === "pending") judge.count("unknownEndings");
    isNotDropped(judge, presentation);
  }
}

/** A live process drops a rotated token only for a put, a revoke or another commit. */
function isNotDropped(
  { facts, process, violated }: Judge,
  { by, session, successor, sentAt, number }: Presentation,
): void {
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

/** What a live process got, and could still be used, is in the store; where the store has lost nothing. */
export function judgeHeld({ facts, server, ledger, process, violated }: Judge, session: string): void {
  const { state, refreshToken = "" } = facts.now(session);
  if ((state !== "active" && state !== "dead") || server.isGood(refreshToken) || facts.losses(session).length > 0)
    return;
  const good = ledger
    .all()
    .filter(
      ({ successor }) =>
        successor !== undefined && server.descends(successor, refreshToken) && server.isGood(successor),
    );
  const held = good.find(({ by }) => process(by)?.isEnded() === false);
  if (held !== undefined)
    violated("token_dropped", `${held.by} got ${held.successor}, which is good, and the store holds ${refreshToken}`);
}

/** What the store lost and nobody wrote back: logins, and ends of sessions. */
export function countLost(judge: Judge, session: string): void {
  const { facts, count } = judge;
  const writes = facts.writes(session);
  for (const write of writes) {
    const lostAt = facts.lostAt(write);
    if (lostAt === undefined) continue;
    const { call } = write;
    const replaced = writes.some(({ at, call: later }) => at > write.at && at < lostAt && later.op !== "refuse");
    if (replaced) continue;
    const back = () =>
      writes.some(
        ({ at, call: later }) =>
          at > lostAt && (later.op === "put" || (later.op === "commit" && later.write.version === versionOf(call))),
      );
    if (call.op === "revoke") judgeLostEnd(judge, session, { revocation: write, version: call.version, lostAt });
    if (call.op === "put" && !back()) count("loginsLost");
  }
}

interface LostEnd {
  readonly revocation: Executed;
  /** The tombstone's. */
  readonly version: string;
  readonly lostAt: number;
}

/**
 * A live process that was told of the session's end writes it back over what the end had replaced, before anybody else
 * writes; what none held is counted.
 */
function judgeLostEnd(
  { facts, process, violated, count, now }: Judge,
  session: string,
  { revocation, version, lostAt }: LostEnd,
): void {
  const later = facts.writes(session).filter(({ at, call }) => at > lostAt && call.op !== "refuse");
  if (later.some(({ call }) => call.op === "revoke" && call.version === version)) {
    count("endsWrittenBack");
    return;
  }
  const all = facts.stretches(session);
  const cameBack = all.find(({ at, byLoss }) => byLoss && at === lostAt);
  if (cameBack === undefined || cameBack.state === "none" || cameBack.state === "revoked") return;
  count("revocationsLost");
  const replaced = all.findLast(({ at, version: other }) => at <= revocation.at && other !== version);
  const until = Math.min(later[0]?.at ?? now(), revocation.at + rememberedMs);
  const from = until - writesBackMs;
  const holder = process(revocation.by);
  const able =
    holder?.isEnded() === false && facts.wasTold(revocation, lostAt) && from > lostAt && !holder.wasUnwell(from, until);
  if (able && replaced?.version === cameBack.version)
    violated(
      "not_written_back",
      `${revocation.by} ended ${session} with ${version}, which the store lost at ${lostAt}, and did not write it back`,
    );
}

function versionOf(call: StoreCall): string | undefined {
  return "write" in call ? call.write.version : undefined;
}
