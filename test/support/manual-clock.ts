import type { Clock } from "../../src/platform/clock.ts";

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves both clocks forward and fires what came due, in order, letting promise callbacks run after each timer. */
  advance(ms: number): Promise<void>;
  /** Number of timers that have not fired. */
  readonly pending: number;
}

export function manualClock(startAt = Date.parse("2026-01-01T00:00:00Z")): ManualClock {
  const timers = new Set<{ readonly at: number; readonly task: () => void }>();
  let elapsed = 1_000;

  function nextDue(until: number) {
    return [...timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
  }

  return {
    wallMs: () => startAt + elapsed,
    monotonicMs: () => elapsed,
    after(delayMs, task) {
      const timer = { at: elapsed + Math.max(delayMs, 0), task };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(ms) {
      const until = elapsed + ms;
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        timers.delete(timer);
        elapsed = Math.max(elapsed, timer.at);
        timer.task();
        await settle();
      }
      elapsed = until;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Lets every promise callback that is ready run. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
