import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
  type IBackoff,
} from "cockatiel";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { TokenMetrics } from "./metrics.ts";

/** Keeps calls from a provider that is down: one for each upstream and process. */
export interface Breaker {
  /** Milliseconds until a call may be tried; 0 where one may be now. */
  openMs(): number;
  /** The call's outcome; `transient` without a call where the breaker is open. */
  run(call: () => Promise<RefreshOutcome>): Promise<RefreshOutcome>;
}

export interface BreakerDeps {
  readonly upstream: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** So many failures in a row open it. */
const failuresToOpen = 10;
/** How long it stays open, ms: doubled each time the call that tries again fails. */
const firstOpenMs = 5_000;
const longestOpenMs = 60_000;
/** While one call tries whether the provider is back, ms. */
const probingMs = 1_000;

const states = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.HalfOpen]: "half_open",
  [CircuitState.Isolated]: "open",
} as const;

/**
 * Only what says that the provider is unwell: an answer about one token or about us does not, nor does 429, which has
 * its own back-off.
 */
function isUnwell(outcome: unknown): boolean {
  const ending = outcome as RefreshOutcome;
  return ending.kind === "unknown" || (ending.kind === "transient" && !ending.tooMany && ending.why !== "not_sent");
}

export function createBreaker({ upstream, clock, log, metrics }: BreakerDeps): Breaker {
  let openUntil = 0;
  /**
   * From its opening until a call has succeeded: in between each call that tries again opens it anew, which is no news.
   */
  let isTripped = false;
  const policy = circuitBreaker(handleWhenResult(isUnwell), {
    breaker: new ConsecutiveBreaker(failuresToOpen),
    halfOpenAfter: { next: () => open(firstOpenMs) },
  });
  policy.onStateChange((state) => {
    metrics.breaker(upstream, states[state]);
    report(states[state]);
  });

  return {
    openMs() {
      if (policy.state === CircuitState.HalfOpen) return probingMs;
      return policy.state === CircuitState.Open ? Math.max(openUntil - clock.monotonicMs(), 0) : 0;
    },
    run: (call) =>
      policy.execute(call).catch((error: unknown): RefreshOutcome => {
        if (error instanceof BrokenCircuitError)
          return { kind: "transient", why: "breaker_open", retryAfterMs: Math.max(openUntil - clock.monotonicMs(), 0) };
        throw error;
      }),
  };

  /** One line for the whole time in which the provider is not asked: what is denied meanwhile is no further news. */
  function report(state: "closed" | "open" | "half_open"): void {
    if (state === "half_open" || isTripped === (state === "open")) return;
    isTripped = state === "open";
    if (isTripped)
      log.warn(
        { event: "breaker_open", upstream, failures: failuresToOpen },
        "the provider failed so many times in a row: it is asked by one request at a time until it answers again; the others get 503",
      );
    else log.info({ event: "breaker_closed", upstream }, "the provider answers again");
  }

  /**
   * cockatiel compares the duration with the wall clock: ours says so much by the monotonic one that the comparison
   * cannot matter.
   */
  function open(ms: number): IBackoff<unknown> {
    openUntil = clock.monotonicMs() + ms;
    return {
      get duration() {
        return clock.monotonicMs() < openUntil ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
      },
      next: () => open(Math.min(ms * 2, longestOpenMs)),
    };
  }
}
