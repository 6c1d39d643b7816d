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
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  readonly metrics: Pick<TokenMetrics, "breaker">;
}

/** So many failures in a row open it. */
const failuresToOpen = 10;
/** How long it stays open, ms: doubled each time the call that tries again fails. */
const firstOpenMs = 5_000;
const longestOpenMs = 60_000;
/** While one call tries whether the provider is back, ms. */
const probingMs = 1_000;

interface Open {
  readonly kind: "open";
  /** Monotonic ms; the next call from then on tries whether the provider is back. */
  readonly until: number;
  readonly forMs: number;
}

/** One call tries; the others wait for what comes of it. */
interface HalfOpen {
  readonly kind: "half_open";
  /** How long it was open before. */
  readonly forMs: number;
  readonly decided: PromiseWithResolvers<void>;
}

type State = { readonly kind: "closed" } | Open | HalfOpen;

/**
 * Only what says that the provider is unwell: an answer about one token or about us does not, nor does 429, which has
 * its own back-off.
 */
function isUnwell(outcome: RefreshOutcome): boolean {
  return outcome.kind === "unknown" || (outcome.kind === "transient" && !outcome.tooMany && outcome.why !== "not_sent");
}

export function createBreaker({ upstream, clock, log, metrics }: BreakerDeps): Breaker {
  let state: State = { kind: "closed" };
  /** In a row, of calls that began while it was closed. */
  let failures = 0;
  /** From its opening until a call has succeeded: that each try opens it anew is no news for the log. */
  let isTripped = false;

  return {
    openMs() {
      if (state.kind === "half_open") return probingMs;
      return state.kind === "open" ? leftMs(state) : 0;
    },
    run,
  };

  async function run(call: () => Promise<RefreshOutcome>): Promise<RefreshOutcome> {
    switch (state.kind) {
      case "closed":
        return count(await call());
      case "half_open":
        await state.decided.promise;
        return run(call);
      case "open":
        if (leftMs(state) > 0) return { kind: "transient", why: "breaker_open", retryAfterMs: leftMs(state) };
        return probe(call, state.forMs);
      default:
        return state satisfies never;
    }
  }

  /** A call may end after others have opened the breaker: it does not keep it open for longer. */
  function count(outcome: RefreshOutcome): RefreshOutcome {
    failures = isUnwell(outcome) ? failures + 1 : 0;
    if (failures >= failuresToOpen && state.kind !== "open") open();
    return outcome;
  }

  async function probe(call: () => Promise<RefreshOutcome>, forMs: number): Promise<RefreshOutcome> {
    const probing: HalfOpen = { kind: "half_open", forMs, decided: Promise.withResolvers() };
    enter(probing);
    try {
      const outcome = await call();
      if (state === probing && !isUnwell(outcome)) close();
      return outcome;
    } finally {
      if (state === probing) open();
    }
  }

  function open(): void {
    const forMs = state.kind === "half_open" ? Math.min(state.forMs * 2, longestOpenMs) : firstOpenMs;
    enter({ kind: "open", until: clock.monotonicMs() + forMs, forMs });
    if (isTripped) return;
    isTripped = true;
    log.warn(
      { event: "breaker_open", upstream, failures: failuresToOpen },
      "the provider failed so many times in a row: it is asked by one request at a time until it answers again; the others get 503",
    );
  }

  function close(): void {
    failures = 0;
    isTripped = false;
    enter({ kind: "closed" });
    log.info({ event: "breaker_closed", upstream }, "the provider answers again");
  }

  function enter(next: State): void {
    const before = state;
    state = next;
    metrics.breaker(upstream, next.kind);
    if (before.kind === "half_open") before.decided.resolve();
  }

  function leftMs({ until }: Open): number {
    return Math.max(until - clock.monotonicMs(), 0);
  }
}
