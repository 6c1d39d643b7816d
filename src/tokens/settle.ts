import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import { latestAnswerMs } from "../providers/outcome.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { RefuseResult, Release, TokenStore } from "../stores/token-store.ts";
import type { Attempt, RefreshResult, Sent } from "./attempt.ts";
import { backOffMs } from "./back-off.ts";
import type { CommitTokens } from "./commit-tokens.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import { toldWithinMs } from "./failover.ts";
import { holdOff, mayHaveBeenUsed } from "./hold-off.ts";
import { giveBack } from "./lease.ts";
import type { TokenMetrics } from "./metrics.ts";
import { createReport } from "./report.ts";
import { logNowAndThen, untilStored } from "./until-stored.ts";

export interface SettleDeps {
  readonly store: TokenStore;
  readonly commit: CommitTokens["commit"];
  readonly endedAttempts: EndedAttempts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: { readonly holdOffMs: number };
}

/** Puts into the store what a presentation led to. */
export interface Settle {
  /** Stores the outcome of what was sent. The answer to a call that was given up is awaited and stored later. */
  settle(attempt: Attempt, sent: Sent): Promise<RefreshResult>;
  /** Reports a request that was never sent. It changes nothing in the store: another replica may fare better. */
  notSent(attempt: Attempt, outcome: RefreshOutcome): RefreshResult;
  /** The grants for which the answer to a call that was given up may still come. */
  awaited(): readonly GrantKey[];
  /** Resolves when no call that was given up can be answered any more. */
  settled(): Promise<void>;
}

/** How long a refusal is offered to the store, ms. Where that fails, the next refresh is refused again. */
const refuseGiveUpMs = 60_000;

/** What a failed call may have done to the refresh token. */
type TokenUse = "unused" | "perhaps_used";

type Failure = Exclude<RefreshOutcome, { kind: "tokens" | "refused" }>;

export function createSettle(deps: SettleDeps): Settle {
  const { store, commit, endedAttempts, clock, random, log, metrics, config } = deps;
  const report = createReport({ clock, log, metrics });
  /** Calls that were given up and may still be answered: each for a minute at most. */
  const late = new Map<Promise<void>, GrantKey>();

  return {
    async settle(attempt, sent) {
      if (sent.kind === "given_up") awaitAnswer(attempt, sent.sentAt, sent.answer);
      const outcome: RefreshOutcome = sent.kind === "answered" ? sent.outcome : { kind: "unknown", why: "timeout" };
      const result = await settleOutcome(attempt, sent, outcome);
      report.ended(attempt, outcome, result);
      return result;
    },
    notSent(attempt, outcome) {
      const why = outcome.kind === "tokens" ? "not_sent" : outcome.why;
      const result = { kind: "unavailable", why, retryAfterMs: retryAfterOf(outcome) } as const;
      if (why !== "breaker_open") report.ended(attempt, outcome, result);
      return result;
    },
    awaited: () => [...late.values()],
    async settled() {
      while (late.size > 0) await Promise.all(late.keys());
    },
  };

  function awaitAnswer(attempt: Attempt, sentAt: number, answer: Promise<RefreshOutcome>): void {
    const { key } = attempt.task;
    const ending = settleLate(attempt, sentAt, answer)
      .catch((error: unknown) =>
        log.error(
          { event: "late_answer", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) },
          "the answer to a call that had been given up was lost: its session may have to log in again",
        ),
      )
      .finally(() => late.delete(ending));
    late.set(ending, key);
  }

  /**
   * Tokens that come late are stored like any others, where the version still stands. A late failure changes nothing,
   * and a late refusal is not stored: the next refresh is refused again.
   */
  async function settleLate(attempt: Attempt, sentAt: number, answer: Promise<RefreshOutcome>): Promise<void> {
    const outcome = await answer;
    const result = outcome.kind === "tokens" ? await commit(attempt, sentAt, outcome.tokens, "late") : undefined;
    report.late(attempt, sentAt, outcome, result);
  }

  function settleOutcome(attempt: Attempt, sent: Sent, outcome: RefreshOutcome): Promise<RefreshResult> {
    switch (outcome.kind) {
      case "tokens":
        return commit(attempt, sent.sentAt, outcome.tokens, "in_time");
      case "refused":
        return refuse(attempt, outcome.why);
      case "misconfigured":
      case "transient":
        return fail(attempt, sent, outcome, "unused");
      case "unknown":
        return fail(attempt, sent, outcome, "perhaps_used");
      default:
        return outcome satisfies never;
    }
  }

  /**
   * The provider may refuse because another attempt has just rotated the token and is about to store the successor:
   * marked dead without a second look, the grant would send a user with a good login to log in again.
   */
  async function refuse(attempt: Attempt, why: string): Promise<RefreshResult> {
    const { task, row, lease } = attempt;
    const { key } = task;
    let result: RefuseResult;
    try {
      if ((lease.isLost() || mayHaveBeenUsed(attempt, endedAttempts)) && (await movesMeanwhile(attempt)))
        return { kind: "superseded" };
      const onError = logNowAndThen(log, "refusal_not_stored", key, "refusal not stored: trying again");
      result = await untilStored(clock, () => store.refuse(key, row.version, why), refuseGiveUpMs, onError);
    } catch {
      return { kind: "unavailable", why: "store_unavailable" };
    }
    switch (result) {
      case "dead":
      case "absent":
        metrics.count("dead", key.upstream);
        return { kind: "refused", why, subject: row.grant.subject };
      case "superseded":
        return { kind: "superseded" };
      case "revoked":
        return { kind: "missing" };
      default:
        return result satisfies never;
    }
  }

  /** Where the store cannot be asked, the refusal's own compare of versions still decides. */
  function movesMeanwhile({ task, row }: Attempt): Promise<boolean> {
    return holdOff({ store, clock }, task, row.version, config.holdOffMs).catch(() => false);
  }

  async function fail(attempt: Attempt, sent: Sent, outcome: Failure, use: TokenUse): Promise<RefreshResult> {
    const { task, row, id, earlier, lease } = attempt;
    const waitMs = backOffOf(attempt, sent, outcome, use);
    metrics.count("back_off", task.key.upstream);
    // Noted only where nobody can commit any more: the call has ended, and no other attempt had the lease.
    if (use === "perhaps_used" && sent.kind === "answered" && !lease.isLost())
      endedAttempts.add(task.key, row.version, earlier);
    const release = { attempt: id, unused: use === "unused", backOffMs: waitMs };
    if (sent.kind === "given_up" && sent.patience.onlyInGrace) {
      await giveUpLease(attempt, sent.sentAt, release);
      lease.stop();
    } else {
      lease.stop();
      await giveBack({ store, log }, task.key, release);
    }
    return { kind: "unavailable", why: outcome.why, retryAfterMs: waitMs };
  }

  function backOffOf({ gate, earlier, failures }: Attempt, sent: Sent, outcome: Failure, use: TokenUse): number {
    const isNever = gate.rotation.isNever();
    return backOffMs({
      maybeUsed: use === "perhaps_used" || (earlier !== undefined && !isNever),
      rotates: isNever ? "never" : gate.rotation.wasKept() ? "not_seen" : "perhaps",
      failures,
      retryAfterMs: retryAfterOf(outcome),
      graceLeftMs: (gate.provider.graceMs ?? 0) - (earlier?.sinceMs ?? 0) - (clock.monotonicMs() - sent.sentAt),
      holdOffMs: config.holdOffMs,
      jitter: random.fraction(),
    });
  }

  /**
   * Others have to know until when an answer may come, or they would present the token beside the call. The lease is
   * kept until the store has that instant, or no answer can come any more.
   */
  async function giveUpLease({ task, lease }: Attempt, sentAt: number, release: Release): Promise<void> {
    lease.giveUp();
    const leftMs = () => Math.max(latestAnswerMs - (clock.monotonicMs() - sentAt), 0);
    const failed = logNowAndThen(log, "release_failed", task.key, "the lease of a hanging call is not given up yet");
    const isAway = new Error("the store has lost the lease; it may be taken again");
    const until = clock.monotonicMs() + toldWithinMs;
    const giveUp = async () => {
      if (await store.release(task.key, { ...release, answerMs: leftMs() })) return;
      // Another process has ended it; or the store went back, and this process hears of that a little later.
      if (lease.mayReturn() || clock.monotonicMs() < until) throw isAway;
    };
    await untilStored(clock, giveUp, leftMs(), (error) => error !== isAway && failed(error)).catch(() => {});
  }
}

function retryAfterOf(outcome: RefreshOutcome): number | undefined {
  return "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
}
