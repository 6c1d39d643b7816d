import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { TokenMetrics } from "./metrics.ts";

/** Keeps calls away from a provider that is down. Each upstream has one breaker in each process. */
export interface Breaker {
  /** Milliseconds until a call may be tried, for that session; 0 where one may be now. */
  openMs(session?: string): number;
  /**
   * Makes the call, or answers `transient` without one while the breaker is open.
   * @param session whose call it is, where the provider may fail at what it is shown of one session and be well for all
   *   others: of what fails again and again for one session, little counts
   */
  run(call: () => Promise<RefreshOutcome>, session?: string): Promise<RefreshOutcome>;
}

export interface BreakerDeps {
  readonly upstream: string;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  readonly metrics: Pick<TokenMetrics, "breaker">;
}

/** This many failures in a row open the breaker. */
const failuresToOpen = 10;
/** More failures of one session, since a call of somebody went well, do not count: five sessions can open it together. */
const failuresOfOne = 2;
/**
 * While the breaker is open, a failed try of a session that counts no more leaves the next one to somebody else, at once.
 * That session itself waits this long, ms, doubled each time: else a provider that is down would be asked without pause.
 */
const firstOwnMs = 5_000;
/** Sessions whose failures are remembered. */
const remembered = 10_000;
/** How long it stays open, ms: doubled each time the call that tries again fails. */
const firstOpenMs = 5_000;
const longestOpenMs = 60_000;
/** What `openMs` answers while one call tries whether the provider is back. */
const probingMs = 1_000;

interface Failures {
  readonly count: number;
  /** When the session may try again while the breaker is open, monotonic ms, once its failures count no more. */
  readonly until: number;
}

interface Open {
  readonly kind: "open";
  /** Monotonic ms; the next call from then on tries whether the provider is back. */
  readonly until: number;
  readonly forMs: number;
}

/** One call tries whether the provider is back; the others wait for its outcome. */
interface HalfOpen {
  readonly kind: "half_open";
  /** How long it was open before. */
  readonly forMs: number;
  readonly decided: PromiseWithResolvers<void>;
}

type State = { readonly kind: "closed" } | Open | HalfOpen;

/**
 * Whether the outcome says that the provider is unwell. An answer about one token or about this client does not, nor
 * does 429, which has a back-off of its own.
 */
export function isUnwell(outcome: RefreshOutcome): boolean {
  return outcome.kind === "unknown" || (outcome.kind === "transient" && !outcome.tooMany);
}

/** A call that was withheld in the last moment says nothing about the provider, good or bad. */
function isWithheld(outcome: RefreshOutcome): boolean {
  return outcome.kind === "transient" && outcome.why === "not_sent";
}

export function createBreaker({ upstream, clock, log, metrics }: BreakerDeps): Breaker {
  let state: State = { kind: "closed" };
  /** Failures in a row, of calls that began while the breaker was closed. */
  let failures = 0;
  /** Failures of each session, since a call of somebody went well. */
  const failuresOf = new LRUCache<string, Failures>(upTo(remembered));
  /** Set from the first opening until a call succeeds: a failed try in between opens the breaker without a log line. */
  let isTripped = false;

  return {
    openMs(session) {
      if (state.kind === "half_open") return probingMs;
      return state.kind === "open" ? leftMs(state, session) : 0;
    },
    run,
  };

  async function run(call: () => Promise<RefreshOutcome>, session?: string): Promise<RefreshOutcome> {
    switch (state.kind) {
      case "closed":
        return count(await call(), session);
      case "half_open":
        await state.decided.promise;
        return run(call, session);
      case "open":
        return leftMs(state, session) > 0
          ? { kind: "transient", why: "breaker_open", retryAfterMs: leftMs(state, session) }
          : probe(call, state.forMs, session);
      default:
        return state satisfies never;
    }
  }

  /** Whether the outcome tells nothing about the provider. Asked once for each call, since it counts. */
  function isSilent(outcome: RefreshOutcome, session: string | undefined): boolean {
    if (isWithheld(outcome)) return true;
    if (!isUnwell(outcome)) failuresOf.clear();
    else if (session !== undefined) {
      const { count: before = 0 } = failuresOf.get(session, plainGet) ?? {};
      const ownMs = Math.min(firstOwnMs * 2 ** Math.max(before - failuresOfOne, 0), longestOpenMs);
      failuresOf.set(session, { count: before + 1, until: clock.monotonicMs() + ownMs });
      return before >= failuresOfOne;
    }
    return false;
  }

  /** A call that ends after others have opened the breaker does not keep it open longer. */
  function count(outcome: RefreshOutcome, session: string | undefined): RefreshOutcome {
    if (isSilent(outcome, session)) return outcome;
    failures = isUnwell(outcome) ? failures + 1 : 0;
    if (failures >= failuresToOpen && state.kind !== "open") open();
    return outcome;
  }

  async function probe(call: () => Promise<RefreshOutcome>, forMs: number, session?: string): Promise<RefreshOutcome> {
    const probing: HalfOpen = { kind: "half_open", forMs, decided: Promise.withResolvers() };
    enter(probing);
    try {
      const outcome = await call();
      if (isSilent(outcome, session) && state === probing) enter({ kind: "open", until: clock.monotonicMs(), forMs });
      else if (state === probing && !isUnwell(outcome)) close();
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
      "the provider keeps failing: until it answers again, one refresh at a time is tried, and requests that need " +
        "another are answered 503. No session is lost",
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

  function leftMs({ until }: Open, session: string | undefined): number {
    const of = session === undefined ? undefined : failuresOf.get(session, plainGet);
    const ownUntil = of !== undefined && of.count > failuresOfOne ? of.until : until;
    return Math.max(until - clock.monotonicMs(), ownUntil - clock.monotonicMs(), 0);
  }
}
