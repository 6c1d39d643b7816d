import type { TokenEvent, TokenMetrics } from "../../src/tokens/metrics.ts";

/** What was counted of one process. */
export interface RecordedMetrics extends TokenMetrics {
  /** How often each event was counted; those that were not are absent. */
  readonly events: Partial<Record<TokenEvent, number>>;
  /** `ending trigger durationMs` of each presentation, oldest first. */
  readonly endings: readonly string[];
  /** What rejections led to, oldest first. */
  readonly rejections: readonly string[];
  /** The breaker's states, oldest first. */
  readonly breakerStates: readonly string[];
  /** Now. */
  readonly underWay: { readonly flights: number; readonly waiters: number };
}

/** Keeps what the refresh protocol counts, for tests to look at. */
export function recordedMetrics(): RecordedMetrics {
  const events: Partial<Record<TokenEvent, number>> = {};
  const endings: string[] = [];
  const rejections: string[] = [];
  const breakerStates: string[] = [];
  const underWay = { flights: 0, waiters: 0 };
  return {
    events,
    endings,
    rejections,
    breakerStates,
    underWay,
    refreshed: (_, ending, trigger, durationMs) => void endings.push(`${ending} ${trigger} ${durationMs}`),
    rejection: (_, ending) => void rejections.push(ending),
    flights: (_, change) => void (underWay.flights += change),
    waiters: (_, change) => void (underWay.waiters += change),
    count: (event) => void (events[event] = (events[event] ?? 0) + 1),
    breaker: (_, state) => void breakerStates.push(state),
  };
}
