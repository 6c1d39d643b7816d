import { type Clock, systemClock } from "../../src/platform/clock.ts";

/**
 * The machine's clock, plus whatever a test has added: lets a token expire without waiting for it. Timers run in real
 * time.
 */
export interface ShiftedClock extends Clock {
  /** Moves both clocks forward, ms. */
  shift(ms: number): void;
  /** Sets the wall clock alone, as NTP does, ms. */
  stepWall(ms: number): void;
}

export function shiftedClock(): ShiftedClock {
  const real = systemClock();
  let [added, stepped] = [0, 0];
  return {
    wallMs: () => real.wallMs() + added + stepped,
    monotonicMs: () => real.monotonicMs() + added,
    after: real.after,
    shift: (ms) => {
      added += ms;
    },
    stepWall: (ms) => {
      stepped += ms;
    },
  };
}
