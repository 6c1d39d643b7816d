import type { CancelTimer, Clock } from "./clock.ts";

/**
 * Until when somebody waits for an answer. One is made where a call arrives and handed down, and every wait on the
 * call's way goes through it, so that nobody subtracts milliseconds by hand and no two waits add up. It ends waiting,
 * not work: what is under way goes on, and work that must outlive its caller has a deadline of its own.
 */
export interface Deadline {
  /** Monotonic ms. */
  readonly at: number;
  /** What is left until then, ms; not below 0. */
  leftMs(): number;
  /** Nobody waits any more. */
  hasPassed(): boolean;
  /** The promise's value, or `late()` once the deadline has passed first. */
  before<T>(promise: Promise<T>, late: () => T): Promise<T>;
  /**
   * The same for the outermost wait, around those made by `before`: they end first, and what is made of that without
   * further waiting is the answer. So a call is answered also where something on its way did not heed the deadline.
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
      // Also where nothing is left: a promise that is settled already goes first.
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

  /** One timer for all who wait at the same time; none while nobody does. */
  function leave(passed: () => void): void {
    waiting.delete(passed);
    if (waiting.size > 0) return;
    cancel?.();
    cancel = undefined;
  }
}
