import { latestAnswerMs } from "../../src/providers/outcome.ts";
import type { Judge } from "./judge.ts";
import type { Presentation } from "./ledger.ts";
import type { Executed } from "./sim-store.ts";

/** From the end of a call until its process has looked at it, and from an acquire to the sending, ms. */
const slackMs = 1_000;
/** A refresh that had read the grant so long before it asks for the lease had to wait for a slot, ms. */
const waitedMs = 4_000;
/** So long all slots are busy with what is not a call: acquiring, signing, opening a connection, ms. */
const besideCallsMs = 2_500;
/** From one give-up until the next presentation beside it is sent, at the soonest, ms: docs/refresh-protocol.md. */
const nextMs = 3_000;

/**
 * How long a call keeps its lease and its slot while nothing comes, ms. A doubt about the moment of the first
 * presentation, positive for the longer time, negative for the shorter.
 */
function patienceMs({ provider, rules }: Judge, { firstAttemptAt, sentAt }: Presentation, doubtMs: number): number {
  if (provider.saysNever) return rules.timeoutMs;
  const firstAt = doubtMs > 0 ? Math.min(firstAttemptAt, sentAt) : sentAt;
  const next = sentAt - firstAt + rules.timeoutMs + rules.holdOffMs + nextMs;
  return next + doubtMs + latestAnswerMs <= provider.graceMs ? rules.timeoutMs : rules.giveUpMs;
}

/** The calls for which that process holds a slot then: surely so, or perhaps, where it may have given them up. */
export function underWay(judge: Judge, by: string, at: number, doubtMs = -slackMs): readonly Presentation[] {
  return judge.ledger.all().filter((call) => call.by === by && call.sentAt <= at && at < slotEnd(judge, call, doubtMs));
}

/** Counted from the last look: a process may freeze before what it sends is on its way. */
function slotEnd(judge: Judge, call: Presentation, doubtMs: number): number {
  return Math.min(call.endedAt, call.checkedAt + patienceMs(judge, call, doubtMs));
}

/** A call that hangs does not keep its lease for longer. */
export function judgeRenewal(judge: Judge, { call, result, by, sentAt }: Executed): void {
  if (call.op !== "renew" || result !== true) return;
  const presentation = judge.ledger.all().findLast(({ attempt }) => attempt === call.attempt);
  if (presentation === undefined || presentation.ending !== "pending") return;
  const until = presentation.sentAt + patienceMs(judge, presentation, slackMs) + slackMs;
  // A failover may have brought the lease back that the process had given up.
  if (judge.facts.losses(call.key.session).some((at) => at > until - slackMs && at <= sentAt)) return;
  if (sentAt < until || judge.process(by)?.wasUnwell(until - slackMs, sentAt) !== false) return;
  judge.violated(
    "not_given_up",
    `${by} keeps its lease for call ${presentation.number}, which it sent at ${presentation.sentAt}`,
  );
}

/** Who waits for a slot waits for calls: a hold-off, or a wait for the store, takes no slot from others. */
export function judgeWaiting(judge: Judge, { call, by, sentAt }: Executed): void {
  if (call.op !== "acquire" || call.request.again) return;
  const told = judge.facts.lastTold(by, call.key.session);
  if (told === undefined || told.op !== "read" || told.at > sentAt || sentAt - told.at < waitedMs) return;
  if (judge.facts.busyUntil(by, call.key.session) > told.at) return; // it waited for somebody else's lease
  if (judge.process(by)?.wasUnwell(told.at - waitedMs, sentAt) !== false) return;
  const idle = longestIdle(judge, by, told.at, sentAt);
  if (idle > besideCallsMs)
    judge.violated(
      "slot_kept",
      `${by} waited since ${told.at} for a slot for ${call.key.session}, which for ${Math.round(idle)} ms no call used`,
    );
}

/** The longest time in which that process could have begun another call, ms. */
function longestIdle(judge: Judge, by: string, from: number, to: number): number {
  const stepMs = 100;
  let longest = 0;
  let idle = 0;
  for (let at = from; at < to; at += stepMs) {
    idle = underWay(judge, by, at, slackMs).length < judge.provider.maxConcurrency ? idle + stepMs : 0;
    longest = Math.max(longest, idle);
  }
  return longest;
}
