import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { RefuseResult, Release, TokenStore } from "../stores/token-store.ts";
import { backOffMs } from "./back-off.ts";
import { createCommitTokens } from "./commit-tokens.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import type { FlightTask } from "./flight-task.ts";
import { holdOff } from "./hold-off.ts";
import { giveBack } from "./lease.ts";
import type { RefreshEnding, TokenMetrics } from "./metrics.ts";
import { latestAnswerMs } from "./patience.ts";
import type { Presentation, RefreshResult, SentPresentation } from "./presentation.ts";
import type { Recommits } from "./recommits.ts";
import { logNowAndThen, untilStored } from "./until-stored.ts";

export interface SettleDeps {
  readonly store: TokenStore;
  readonly recommits: Recommits;
  readonly endedAttempts: EndedAttempts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: { readonly holdOffMs: number };
}

/** Puts into the store what a presentation led to. */
export interface Settle {
  settle(presentation: SentPresentation, outcome: RefreshOutcome): Promise<RefreshResult>;
  /**
   * Nothing left this process: discovery failed, or the breaker is open, or no request could be made. That is nobody
   * else's concern: it changes nothing in the store.
   */
  notSent(presentation: Presentation, outcome: RefreshOutcome): RefreshResult;
  /** The lease of a call that hangs is given up; its answer is still awaited, and stored where the version stands. */
  giveUp(presentation: SentPresentation, outcome: Promise<RefreshOutcome>): void;
  isWriting(version: string): boolean;
  unstored(): readonly GrantKey[];
  /** The grants for which the answer to a call that was given up may still come. */
  awaited(): readonly GrantKey[];
  /** Resolves when no call that was given up can be answered any more. */
  settled(): Promise<void>;
}

/** A refusal that cannot be stored is found out again. */
const refuseGiveUpMs = 60_000;

export function createSettle({
  store,
  recommits,
  endedAttempts,
  clock,
  random,
  log,
  metrics,
  config,
}: SettleDeps): Settle {
  const { commit, isWriting, unstored } = createCommitTokens({ recommits, clock, random, log, metrics });
  /** Calls that were given up and may still be answered: each for a minute at most. */
  const late = new Map<Promise<void>, GrantKey>();

  return {
    async settle(presentation, outcome) {
      const result = await settleOutcome(presentation, outcome);
      report(presentation, outcome, result);
      return result;
    },
    notSent(presentation, outcome) {
      const why = outcome.kind === "tokens" ? "not_sent" : outcome.why;
      const result = { kind: "unavailable", why, retryAfterMs: retryAfterOf(outcome) } as const;
      if (why !== "breaker_open") report(presentation, outcome, result);
      return result;
    },
    giveUp(presentation, outcome) {
      const { upstream, session } = presentation.task.key;
      const ending = settleLate(presentation, outcome)
        .catch((error: unknown) =>
          log.error(
            { event: "late_answer", upstream, session: shortHash(session), reason: messageOf(error) },
            "a late answer is lost",
          ),
        )
        .finally(() => late.delete(ending));
      late.set(ending, presentation.task.key);
    },
    isWriting,
    unstored,
    awaited: () => [...late.values()],
    async settled() {
      while (late.size > 0) await Promise.all(late.keys());
    },
  };

  /**
   * What comes after all is worth as much as before: it is stored where nobody has got on meanwhile. A failure changes
   * nothing any more, and a refusal is found out again.
   */
  async function settleLate(presentation: SentPresentation, call: Promise<RefreshOutcome>): Promise<void> {
    const { key } = presentation.task;
    const outcome = await call;
    const result = outcome.kind === "tokens" ? (await commit(presentation, outcome.tokens, true)).kind : "dropped";
    const durationMs = Math.round(clock.monotonicMs() - presentation.sentAt);
    const fields = {
      event: "late_answer",
      upstream: key.upstream,
      session: shortHash(key.session),
      outcome: result,
      provider: outcome.kind,
      durationMs,
    };
    log[outcome.kind === "tokens" ? "info" : "debug"](fields, "the answer to a call that had been given up");
    if (outcome.kind === "tokens") void outcome.checks.then((problem) => warnOfResponse(key, problem));
  }

  function settleOutcome(presentation: SentPresentation, outcome: RefreshOutcome): Promise<RefreshResult> {
    switch (outcome.kind) {
      case "tokens":
        return commit(presentation, outcome.tokens);
      case "refused":
        return refuse(presentation, outcome.why);
      case "misconfigured":
      case "transient":
        return fail(presentation, outcome, true);
      case "unknown":
        return fail(presentation, outcome, false);
      default:
        return outcome satisfies never;
    }
  }

  /**
   * The refusal is for the token presented: somebody else may have rotated it just before, and be about to store what
   * he got.
   */
  async function refuse(presentation: Presentation, why: string): Promise<RefreshResult> {
    const { task, row, lease } = presentation;
    const { key } = task;
    let result: RefuseResult;
    try {
      if ((lease.isLost() || mayHaveBeenUsed(presentation, endedAttempts)) && (await movesMeanwhile(task, row.version)))
        return { kind: "superseded" };
      const onError = logNowAndThen(log, "refusal_not_stored", key, "refusal not stored yet");
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

  /** Where the store cannot be asked, the refusal's own compare is the last look. */
  function movesMeanwhile(task: FlightTask, version: string): Promise<boolean> {
    return holdOff({ store, clock }, task, version, config.holdOffMs).catch(() => false);
  }

  async function fail(
    presentation: SentPresentation,
    outcome: Exclude<RefreshOutcome, { kind: "tokens" | "refused" }>,
    unused: boolean,
  ): Promise<RefreshResult> {
    const { task, provider, rotation, row, attempt, earlier, failures, sentAt, lease, givenUp } = presentation;
    const firstAgoMs = earlier?.sinceMs ?? 0;
    const graceLeftMs = (provider.graceMs ?? 0) - firstAgoMs - (clock.monotonicMs() - sentAt);
    const isNever = rotation.isNever();
    const retryAfterMs = retryAfterOf(outcome);
    const waitMs = backOffMs({
      maybeUsed: !unused || (earlier !== undefined && !isNever),
      rotates: isNever ? "never" : rotation.wasKept() ? "not_seen" : "perhaps",
      failures,
      retryAfterMs,
      graceLeftMs,
      holdOffMs: config.holdOffMs,
      jitter: random.fraction(),
    });
    metrics.count("back_off", task.key.upstream);
    if (!unused && givenUp === undefined && !lease.isLost()) endedAttempts.add(task.key, row.version, earlier);
    const release = { attempt, unused, backOffMs: waitMs };
    if (givenUp?.onlyInGrace) await giveUpLease(presentation, release);
    lease.stop();
    if (!givenUp?.onlyInGrace) await giveBack({ store, log }, task.key, release);
    return { kind: "unavailable", why: outcome.why, retryAfterMs: waitMs };
  }

  /**
   * The others have to know until when an answer may come: until the store has that, or none can come any more, the
   * lease is kept.
   */
  async function giveUpLease({ task, lease, sentAt }: SentPresentation, release: Release): Promise<void> {
    lease.giveUp();
    const leftMs = () => Math.max(latestAnswerMs - (clock.monotonicMs() - sentAt), 0);
    const onError = logNowAndThen(log, "release_failed", task.key, "lease of a call that hangs not given up yet");
    const giveUp = async () => {
      const released = await store.release(task.key, { ...release, answerMs: leftMs() });
      if (!released && lease.mayReturn()) throw new Error("the store has lost the lease; it is being taken again");
    };
    await untilStored(clock, giveUp, leftMs(), onError).catch(() => {});
  }

  function report({ task, startedAt }: Presentation, outcome: RefreshOutcome, result: RefreshResult): void {
    const { key, trigger } = task;
    const durationMs = clock.monotonicMs() - startedAt;
    const fields = {
      event: "refresh",
      upstream: key.upstream,
      session: shortHash(key.session),
      trigger,
      outcome: result.kind,
      provider: outcome.kind,
      reason: outcome.kind === "tokens" ? undefined : outcome.why,
      description: outcome.kind === "tokens" ? undefined : outcome.description,
      advice: outcome.kind === "tokens" ? undefined : outcome.advice,
      durationMs: Math.round(durationMs),
    };
    metrics.refreshed(key.upstream, endingOf(outcome, result), trigger, durationMs);
    if (outcome.kind === "misconfigured")
      log.error(fields, "the provider refused this client: check the upstream's configuration");
    else if (result.kind === "refreshed") log.info(fields, "refreshed");
    else log.warn(fields, "not refreshed");
    if (outcome.kind === "tokens") void outcome.checks.then((problem) => warnOfResponse(key, problem));
  }

  function warnOfResponse(key: GrantKey, problem: string | undefined): void {
    if (problem === undefined) return;
    log.warn(
      { event: "token_response", upstream: key.upstream, session: shortHash(key.session), reason: problem },
      "token response does not conform; its tokens are stored",
    );
  }
}

/**
 * Another attempt's marker says so, whose holder may be about to commit. Where the provider never rotates it would
 * change nothing.
 */
export function mayHaveBeenUsed({ task, row, earlier, rotation }: Presentation, endedAttempts: EndedAttempts): boolean {
  return earlier !== undefined && !rotation.isNever() && !endedAttempts.areAll(task.key, row.version, earlier);
}

function retryAfterOf(outcome: RefreshOutcome): number | undefined {
  return "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
}

function endingOf(outcome: RefreshOutcome, result: RefreshResult): RefreshEnding {
  if (result.kind === "superseded") return "adopted";
  if (outcome.kind !== "tokens") return outcome.kind;
  if (result.kind === "unavailable") return "unknown"; // the store never took them
  return result.kind === "missing" ? "revoked" : "refreshed";
}
