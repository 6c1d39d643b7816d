import type { Clock } from "../clock.ts";

/** The promise's value, or `late()` once `delayMs` passed first. The promise itself goes on. */
export function withDeadline<T>(clock: Clock, promise: Promise<T>, delayMs: number, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(delayMs, () => resolve(late()));
    promise.then(resolve, reject).finally(cancel);
  });
}

/** Resolves after `delayMs`. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}
