import type { CancelTimer, Clock } from "./clock.ts";

/**
 * The instant until which a caller waits for its answer. It is made where a call arrives and handed down, and every
 * wait on the call's way goes through it: so nobody subtracts milliseconds by hand, and waits do not add up. It ends
 * waiting, not work. What is under way goes on, and work that must outlive its caller has a deadline of its own.
 */
export interface Deadline {
  /** The instant, in monotonic ms. */
  readonly at: number;
  /** The time that is left, ms; never below 0. */
  leftMs(): number;
  /** Whether the deadline has passed. */
  hasPassed(): boolean;
  /** The promise's value, or `late()` if the deadline passes before it is there. */
  before<T>(promise: Promise<T>, late: () => T): Promise<T>;
  /**
   * Like `before`, for the outermost wait of a call. Waits made by `before` end first, and what the call makes of that
   * at once is still its answer. So a call is answered even if something on its way does not heed the deadline.
   */
  beforeAtLast<T>(promise: Promise<T>, late: () => T): Promise<T>;
}

export function deadlineIn(clock: Clock, delayMs: number): Deadline {
  return deadlineAt(clock, clock.monotonicMs() + delayMs);
}

/** @param at monotonic ms */
export function deadlineAt(clock: Clock, at: number): Deadline {
  const waiting = new Set<() => void>();
  let fired = false;
  let cancel: CancelTimer | undefined;
  const leftMs = () => Math.max(at - clock.monotonicMs(), 0);

  return {
    at,
    leftMs,
    hasPassed: () => fired || leftMs() === 0,
    before: (promise, late) => wait(promise, (resolve) => resolve(late())),
    beforeAtLast: (promise, late) => wait(promise, (resolve) => void setImmediate(() => resolve(late()))),
  };

  function wait<T>(promise: Promise<T>, onLate: (resolve: (value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const passed = () => onLate(resolve);
      waiting.add(passed);
      // Even if no time is left, a promise that is settled already goes first.
      cancel ??= clock.after(leftMs(), fire);
      promise.then(resolve, reject).finally(() => leave(passed));
    });
  }

  function fire(): void {
    fired = true;
    cancel = undefined;
    for (const passed of waiting) passed();
    waiting.clear();
  }

  /** One timer for all who wait at the same time, and none while nobody waits. */
  function leave(passed: () => void): void {
    waiting.delete(passed);
    if (waiting.size > 0) return;
    cancel?.();
    cancel = undefined;
  }
}
