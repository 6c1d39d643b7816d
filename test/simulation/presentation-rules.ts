import { latestAnswerMs } from "../../src/providers/outcome.ts";
import type { Judge } from "./judge.ts";
import type { Presentation } from "./ledger.ts";
import type { Executed } from "./sim-store.ts";
import { underWay } from "./slot-rules.ts";

/** A live holder's commit is tried each second: so long after it became well it is in the store, ms. */
const commitLandsMs = 1_500;
/** A process writes its commits again for so long, ms. */
export const rememberedMs = 60_000;

/** Judges a presentation as it begins, beside the earlier ones of the same refresh token. */
export function judgePresentation(judge: Judge, presentation: Presentation, earlier: readonly Presentation[]): void {
  judge.count("presentations");
  if (earlier.length > 0) judge.count("presentedAgain");
  if (isFrozen(presentation)) judge.count("frozenDispatches");
  hasLease(judge, presentation);
  hasSlot(judge, presentation);
  if (!judge.provider.rotates) return; // the same token is presented again and again
  isNotAfterSuccessor(judge, presentation);
  for (const other of earlier) {
    if (isFrozen(presentation) || isFrozen(other)) {
      if (other.wireEndAt > presentation.sentAt) judge.count("frozenOverlaps");
    } else if (judge.facts.wasGivenBack(other.attempt)) {
      if (other.wireEndAt > presentation.sentAt) isInsideGrace(judge, presentation, earlier);
      else isFoundedOnLateAnswer(judge, presentation, other);
    } else {
      isAlone(judge, presentation, other);
      isFoundedOnEnding(judge, presentation, other);
    }
  }
}

/** What was sent later than it was decided: the process froze in between, and no client can close that. */
function isFrozen({ sentAt, checkedAt }: Presentation): boolean {
  return sentAt > checkedAt;
}

/** In the moment of sending, the lease has refresh.timeout left. */
function hasLease({ facts, rules, violated }: Judge, { by, token, attempt, checkedAt }: Presentation): void {
  const until = facts.lastSignOf(attempt) + rules.leaseMs;
  if (checkedAt > until - rules.timeoutMs)
    violated("without_lease", `${by} presents ${token} with ${Math.round(until - checkedAt)} ms of its lease left`);
}

/** One process asks the provider for so much at the same time; calls that it has given up are not counted. */
function hasSlot(judge: Judge, presentation: Presentation): void {
  const { ledger, provider, violated } = judge;
  const others = underWay(judge, presentation.by, presentation.checkedAt);
  if (others.length < provider.maxConcurrency) return;
  const numbers = others.map(({ number }) => number).join(", ");
  violated(
    "slots",
    `${presentation.by} presents ${presentation.token} beside ${numbers}; slots: ${provider.maxConcurrency} (of ${ledger.all().length})`,
  );
}

/**
 * Beside a call that hung and was given up: whatever the provider does, and however late, it redeems all of them within
 * its grace.
 */
function isInsideGrace(
  { facts, provider, violated, count }: Judge,
  presentation: Presentation,
  earlier: readonly Presentation[],
): void {
  const { by, session, token, checkedAt } = presentation;
  const first = Math.min(...earlier.filter(({ ending }) => ending !== "unused").map(({ sentAt }) => sentAt));
  count("gracefulOverlaps");
  // The store has lost the marker of the first one, perhaps: nobody knows when that was.
  if (facts.losses(session).length > 0 || checkedAt + latestAnswerMs <= first + provider.graceMs) return;
  violated(
    "outside_grace",
    `${by} presents ${token} beside a call, ${Math.round(checkedAt - first)} ms after the first; grace ${provider.graceMs}`,
  );
}

/**
 * No presentation begins after a successor is in the store: not where the process has looked since, nor where it has
 * heard of it.
 */
function isNotAfterSuccessor({ facts, server, violated, count }: Judge, presentation: Presentation): void {
  const { by, session, token, checkedAt } = presentation;
  const stored = facts.now(session);
  if (!server.descends(stored.refreshToken, token) || stored.at > checkedAt) return;
  // A word about the same version from before it was lost and written back says nothing.
  const heardAt = facts.heardAt(by, stored.version);
  const hasHeard = heardAt >= stored.at && heardAt <= checkedAt;
  if (stored.at > facts.lastLook(by, session) && !hasHeard) count("overtaken");
  else
    violated(
      "after_successor",
      `${by} presents ${token} although ${stored.refreshToken} is in the store since ${stored.at}`,
    );
}

/** Within refresh.timeout the provider is asked once. */
function isAlone({ facts, rules, violated }: Judge, presentation: Presentation, other: Presentation): void {
  const overlap = other.wireEndAt > presentation.sentAt && presentation.sentAt < other.sentAt + rules.timeoutMs;
  if (!overlap || facts.wasLeaseLost(other.attempt) || facts.wasLeaseLost(presentation.attempt)) return;
  if (other.ending === "unused" || other.ending === "unknown") return;
  violated("at_once", `${presentation.by} presents ${presentation.token} while ${other.by} does`);
}

/**
 * What a call brought that had been given up is stored as any other. A refusal of it changes nothing any more, and is
 * found out again.
 */
function isFoundedOnLateAnswer(judge: Judge, presentation: Presentation, other: Presentation): void {
  const { facts, violated } = judge;
  const { by, session, token } = presentation;
  if (other.ending !== "tokens" || other.successor === undefined) return;
  const commit = facts
    .writes(session)
    .find(({ call }) => call.op === "commit" && call.write.grant.refreshToken?.reveal() === other.successor);
  if (commit !== undefined) isWrittenBack(judge, presentation, other, commit);
  else if (couldStore(judge, facts.lastLook(by, session), other))
    violated(
      "holder_well",
      `${by} presents ${token} although ${other.by}, to whom it was answered late, is well (${other.number})`,
    );
}

/**
 * Presented again only where an earlier presentation is known to have ended without tokens, or nobody can be expected
 * to know.
 */
function isFoundedOnEnding(judge: Judge, presentation: Presentation, other: Presentation): void {
  const { facts, rules, violated, count } = judge;
  const { by, session, token, checkedAt, attempt } = presentation;
  if (other.ending === "unknown" || other.ending === "unused") return;
  if (other.ending === "tokens" && other.successor === undefined) return;
  const commit = facts
    .writes(session)
    .find(({ call }) => call.op === "commit" && call.write.grant.refreshToken?.reveal() === other.successor);
  if (commit !== undefined) {
    isWrittenBack(judge, presentation, other, commit);
    return;
  }
  // A login or the session's end came in between, for which the tokens were dropped; it is here no more, or the token
  // would not be: so the store has lost it.
  const ended = facts
    .writes(session)
    .some(({ call, at }) => at > other.checkedAt && (call.op === "put" || call.op === "revoke"));
  if (ended && facts.losses(session).length > 0) {
    count("lostUnheld");
    return;
  }
  if (facts.wasLeaseLost(other.attempt) || facts.wasLeaseLost(attempt)) {
    isLeaseTakenAgain(judge, presentation, other);
    return;
  }
  count("silentHolders");
  const sign = facts.lastSignOf(other.attempt);
  const waitedMs = checkedAt - sign;
  if (waitedMs < rules.leaseMs + rules.holdOffMs - 5)
    violated(
      "too_soon",
      `${by} presents ${token} ${Math.round(waitedMs)} ms after the last word from ${other.by}, who presented it (${other.number})`,
    );
  if (holderCould(judge, presentation, other, sign))
    violated(
      "holder_well",
      `${by} presents ${token} although ${other.by}, who presented it, is well (${other.number})`,
    );
}

/** Whether the earlier holder was able to do its part: keep the lease, or, where it has the tokens, store them. */
function holderCould(judge: Judge, { by, session }: Presentation, other: Presentation, sign: number): boolean {
  const { facts, process } = judge;
  const look = facts.lastLook(by, session);
  const holder = process(other.by);
  if (holder === undefined) return false;
  return !holder.wasUnwell(sign, look) || couldStore(judge, look, other);
}

/** Whether a process that was answered with tokens was able to store them before that look. */
function couldStore({ process, commitsRefused }: Judge, look: number, { by, ending, endedAt }: Presentation): boolean {
  const from = look - commitLandsMs;
  return (
    ending === "tokens" && endedAt < from && !commitsRefused(from, look) && process(by)?.wasUnwell(from, look) === false
  );
}

/**
 * The store has lost the lease: a live holder takes it again before anybody else presents the token. A refusal that got
 * lost is found out again, at nobody's cost.
 */
function isLeaseTakenAgain(
  { facts, process, commitsRefused, violated, count }: Judge,
  presentation: Presentation,
  other: Presentation,
): void {
  const { by, session, token, attempt } = presentation;
  const look = facts.lastLook(by, session);
  const from = facts.lastSignOf(attempt) - commitLandsMs;
  const held =
    other.ending !== "refused" && !commitsRefused(from, look) && process(other.by)?.wasUnwell(from, look) === false;
  if (!held || facts.wasLeaseLost(attempt)) count("leasesLost");
  else
    violated(
      "lease_not_taken_again",
      `${by} presents ${token} while ${other.by} does, whose lease the store has lost (${other.number})`,
    );
}

/**
 * The store has lost the successor: a live process that wrote it lately writes it back before the predecessor is
 * presented.
 */
function isWrittenBack(
  { facts, process, violated, count, commitsRefused }: Judge,
  presentation: Presentation,
  other: Presentation,
  commit: Executed,
): void {
  const { by, session, token } = presentation;
  const lostAt = facts.lostAt(commit);
  if (lostAt === undefined || commit.call.op !== "commit") return; // judged as a successor in the store
  const look = facts.lastLook(by, session);
  const since = facts
    .writes(session)
    .some(({ call, at }) => at > commit.at && (call.op === "put" || call.op === "revoke"));
  const holder = process(other.by);
  const able =
    holder !== undefined &&
    !holder.wasUnwell(look - commitLandsMs, look) &&
    look - commit.at < rememberedMs &&
    other.endedAt < look - commitLandsMs;
  if (since || !able || commitsRefused(look - commitLandsMs, look)) count("lostUnheld");
  else if (facts.now(session).version !== commit.call.from) count("lostUnlinked");
  else
    violated(
      "not_written_back",
      `${by} presents ${token} although ${other.by} holds its successor ${other.successor}, which the store lost at ${lostAt}`,
    );
}
