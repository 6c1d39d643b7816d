import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import { auditOf, type GrantKey, shortHash } from "../stores/grant.ts";
import type { Attempt, RefreshResult } from "./attempt.ts";
import type { RefreshEnding, TokenMetrics } from "./metrics.ts";

/** Tells log and metrics how attempts ended. */
export interface Report {
  /** The attempt is over for those who wait for it. */
  ended(attempt: Attempt, outcome: RefreshOutcome, result: RefreshResult): void;
  /** A call that had been given up is over; `result` where it was answered with tokens. */
  late(attempt: Attempt, sentAt: number, outcome: RefreshOutcome, result: RefreshResult | undefined): void;
}

export interface ReportDeps {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

export function createReport({ clock, log, metrics }: ReportDeps): Report {
  return {
    ended({ task, startedAt }, outcome, result) {
      const { key, trigger } = task;
      const durationMs = clock.monotonicMs() - startedAt;
      const fields = {
        event: "refresh",
        upstream: key.upstream,
        session: shortHash(key.session),
        ...(result.kind === "refused" ? auditOf(key, "provider", result.subject) : {}),
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
        log.error(fields, "the provider refused this client: check the upstream's configuration. No session is lost");
      else if (result.kind === "refreshed") log.info(fields, "refreshed");
      else log.warn(fields, "not refreshed: see `reason`; only the outcome `refused` ends the session");
      warnOfResponse(key, outcome);
    },

    late({ task: { key } }, sentAt, outcome, result) {
      const fields = {
        event: "late_answer",
        upstream: key.upstream,
        session: shortHash(key.session),
        outcome: result?.kind ?? "dropped",
        provider: outcome.kind,
        durationMs: Math.round(clock.monotonicMs() - sentAt),
      };
      const text = "a call that had been given up has ended";
      if (outcome.kind === "tokens") log.info(fields, text);
      else log.debug(fields, text);
      warnOfResponse(key, outcome);
    },
  };

  function warnOfResponse(key: GrantKey, outcome: RefreshOutcome): void {
    if (outcome.kind !== "tokens") return;
    void outcome.checks.then((problem) => {
      if (problem === undefined) return;
      log.warn(
        { event: "token_response", upstream: key.upstream, session: shortHash(key.session), reason: problem },
        "the token response breaks the standard: see `reason`. Its tokens are stored",
      );
    });
  }
}

function endingOf(outcome: RefreshOutcome, result: RefreshResult): RefreshEnding {
  if (result.kind === "superseded") return "adopted";
  if (outcome.kind !== "tokens") return outcome.kind;
  if (result.kind === "unavailable") return "unknown"; // the store never took them
  return result.kind === "missing" ? "revoked" : "refreshed";
}
