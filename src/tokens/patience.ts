import type { Clock } from "../platform/clock.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import { latestAnswerMs } from "../providers/outcome.ts";
import type { Attempt, Patience } from "./attempt.ts";
import type { Gate } from "./gate.ts";

export interface PatienceConfig {
  readonly timeoutMs: number;
  readonly holdOffMs: number;
  /** How long a call may hang where nothing is known of what its provider does to the refresh token, ms. */
  readonly giveUpMs: number;
}

/**
 * Time from the end of a lease until another replica's request is sent, without the hold-off, ms: the shortest
 * back-off, and the way to store and provider.
 */
const nextMs = 3_000;

/**
 * `refresh.timeout` where the provider never rotates, or where another presentation will surely be redeemed inside the
 * grace, counted from this token's first one; else what the configuration says.
 */
export function patienceOf({ gate, earlier }: Pick<Attempt, "gate" | "earlier">, config: PatienceConfig): Patience {
  if (gate.rotation.isNever()) return { ms: config.timeoutMs, onlyInGrace: false };
  const nextAfterMs = (earlier?.sinceMs ?? 0) + config.timeoutMs + config.holdOffMs + nextMs;
  if (nextAfterMs <= overlapMs(gate)) return { ms: config.timeoutMs, onlyInGrace: true };
  return { ms: Math.max(config.giveUpMs, config.timeoutMs), onlyInGrace: false };
}

/**
 * How long after a token's first presentation another may be sent beside a call that was given up, ms. It is a minute
 * less than the grace: the provider may redeem any of them a minute late, and all have to fall into the grace.
 * `Infinity` where it never rotates.
 */
export function overlapMs({ provider, rotation }: Pick<Gate, "provider" | "rotation">): number {
  return rotation.isNever() ? Number.POSITIVE_INFINITY : Math.max((provider.graceMs ?? 0) - latestAnswerMs, 0);
}

/** The same for an attempt that may hold off first: the overlap has to last until after that. */
export function overlapBeforeMs(gate: Gate, { holdOffMs }: Pick<PatienceConfig, "holdOffMs">): number {
  return Math.max(overlapMs(gate) - holdOffMs, 0);
}

/** A call with what is waited for: `sent` is called when its request leaves. */
export interface Call {
  readonly outcome: Promise<RefreshOutcome>;
  readonly sent: Promise<void>;
}

/** The call's outcome, or "given_up" where none has come `ms` after the sending. The call goes on. */
export async function untilGivenUp(
  clock: Clock,
  { outcome, sent }: Call,
  ms: number,
): Promise<RefreshOutcome | "given_up"> {
  if (ms >= latestAnswerMs) return outcome;
  const givenUp = Promise.withResolvers<"given_up">();
  let cancel = () => {};
  let isOver = false;
  void sent.then(() => {
    if (!isOver) cancel = clock.after(ms, () => givenUp.resolve("given_up"));
  });
  try {
    return await Promise.race([outcome, givenUp.promise]);
  } finally {
    isOver = true;
    cancel();
  }
}
