import type { GrantKey } from "../stores/grant.ts";
import type { GrantRow, Standing } from "../stores/token-store.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import type { Gate } from "./gate.ts";
import { mayHaveBeenUsed } from "./hold-off.ts";
import { overlapBeforeMs, type PatienceConfig } from "./patience.ts";

/** Why a refresh that began now would not present the refresh token at once, though nobody else has the lease. */
export interface ForeseenWait {
  readonly why: /** The server has lost what came after another history, and who has that is writing it back. */
    | "failover"
    /** This process was cut off from the store, which may have lost something meanwhile. */
    | "gap"
    /** A call that nobody waits for any more may still be answered. */
    | "given_up_call"
    /** An attempt whose end is unknown may have redeemed the token, and be about to store what it got. */
    | "earlier_attempt";
  /** At most, ms; where another process finishes before that, the wait is over. */
  readonly ms: number;
}

interface Seen {
  readonly key: GrantKey;
  readonly row: GrantRow;
  readonly standing: Standing;
  readonly gate: Gate;
  /** What is left of this process's own time after a gap, ms. */
  readonly gapMs: number;
}

/** What refresh.ts and acquire.lua would wait for: the longest of what comes before the lease, else what comes after. */
export function foreseenWait(
  { key, row, standing, gate, gapMs }: Seen,
  endedAttempts: EndedAttempts,
  config: PatienceConfig,
): ForeseenWait | undefined {
  const { quietMs, isOlder, answerMs, earlier } = standing;
  const isAwaited = answerMs > 0 && (earlier?.sinceMs ?? 0) >= overlapBeforeMs(gate, config);
  const failoverMs = quietMs === 0 && isOlder ? config.holdOffMs : quietMs;
  const before: ForeseenWait[] = [
    // A failover is a gap as well, which this process may notice before or after that.
    { why: "failover", ms: failoverMs > 0 ? Math.max(failoverMs, gapMs) : 0 },
    { why: "gap", ms: gapMs },
    { why: "given_up_call", ms: isAwaited ? answerMs : 0 },
  ];
  const longest = before.reduce((one, other) => (other.ms > one.ms ? other : one));
  if (longest.ms > 0) return longest;
  const attempt = { task: { key }, row, earlier, gate };
  return mayHaveBeenUsed(attempt, endedAttempts) ? { why: "earlier_attempt", ms: config.holdOffMs } : undefined;
}
