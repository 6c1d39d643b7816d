import type { Clock } from "../platform/clock.ts";
import type { Secret } from "../platform/secret.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { Attempt, Presented } from "./attempt.ts";
import type { Coherence } from "./coherence.ts";
import type { TokenMetrics } from "./metrics.ts";
import { overlapMs, type PatienceConfig, patienceOf, untilGivenUp } from "./patience.ts";

export interface PresentDeps {
  readonly coherence: Pick<Coherence, "lastGapAt">;
  /** Whether this process has new tokens in place of the attempt's version, and the store does not have them yet. */
  readonly isCommitting: (attempt: Attempt) => boolean;
  readonly clock: Clock;
  readonly metrics: TokenMetrics;
  readonly config: PatienceConfig;
}

/** Presents an attempt's refresh token in one request, and waits for the answer as long as its patience allows. */
export type Present = (attempt: Attempt, refreshToken: Secret) => Promise<Presented>;

export function createPresent({ coherence, isCommitting, clock, metrics, config }: PresentDeps): Present {
  return async function present(attempt, refreshToken) {
    const { breaker, provider } = attempt.gate;
    const patience = patienceOf(attempt, config);
    const sent = Promise.withResolvers<void>();
    let isWithheld = false;
    let sentAt: number | undefined;
    const beforeSend = () => {
      isWithheld = !mayPresent(attempt);
      if (isWithheld) return false;
      sentAt = clock.monotonicMs();
      countAgain(attempt);
      sent.resolve();
      return true;
    };
    // The breaker counts how the call really ends: a provider that is slower than `refresh.timeout` still works.
    const refresh = () => provider.refresh({ refreshToken, client: attempt.row.grant.client, beforeSend });
    const answer = breaker.run(refresh, attempt.task.key.session);
    const ending = await untilGivenUp(clock, { outcome: answer, sent: sent.promise }, patience.ms).catch(
      (error: unknown): RefreshOutcome => {
        if (sentAt === undefined) throw error;
        return { kind: "unknown", why: "internal_error" };
      },
    );
    if (isWithheld) return { kind: "withheld" };
    if (ending === "given_up" && sentAt !== undefined) return { kind: "given_up", sentAt, patience, answer };
    const outcome: RefreshOutcome = ending === "given_up" ? { kind: "unknown", why: "timeout" } : ending;
    // A refusal counts although nothing was sent: the token belongs to another issuer than the server has now.
    if (sentAt === undefined && outcome.kind !== "refused") return { kind: "not_sent", outcome };
    return { kind: "answered", sentAt: sentAt ?? clock.monotonicMs(), outcome };
  };

  /**
   * The last check, in the tick that sends. Nothing is sent where the grant may have moved, where the lease may end
   * before the provider answers, or where an earlier call may still be answered and the grace does not cover both: the
   * provider could treat the second redemption as theft and end the grant.
   */
  function mayPresent(attempt: Attempt): boolean {
    const { task, lease, startedAt, earlier, answerMs, gate } = attempt;
    if (task.outdated.aborted || coherence.lastGapAt() >= startedAt || isCommitting(attempt)) return false;
    if (lease.leftMs() < config.timeoutMs) return false;
    const passedMs = clock.monotonicMs() - startedAt;
    return passedMs >= answerMs || (earlier?.sinceMs ?? 0) + passedMs <= overlapMs(gate);
  }

  function countAgain({ task, earlier, gate }: Attempt): void {
    if (earlier !== undefined && !gate.rotation.isNever()) metrics.count("presented_again", task.key.upstream);
  }
}
