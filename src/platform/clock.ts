/** Cancels a timer; harmless after it fired. */
export type CancelTimer = () => void;

/** Time as a dependency, so that tests can move it. All values are milliseconds. */
export interface Clock {
  /**
   * Wall clock, epoch ms. Only for instants that others wrote down (`exp`, `expires_at`), never to decide how long
   * something lasted.
   */
  wallMs(): number;
  /** Monotonic clock: an arbitrary origin, never goes back. Lifetimes, deadlines and back-off are counted on it. */
  monotonicMs(): number;
  /** Runs `task` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, task: () => void): CancelTimer;
}

/** The longest delay setTimeout takes (2^31 − 1 ms); a longer one would fire at once. */
const maxDelayMs = 2_147_483_647;

/** The machine's clocks. */
export function systemClock(): Clock {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    after(delayMs, task) {
      const timer = setTimeout(task, Math.min(Math.max(delayMs, 0), maxDelayMs));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
