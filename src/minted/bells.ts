import type { Clock } from "../platform/clock.ts";

/** Wakes those who wait for something to happen elsewhere. */
export interface Bells {
  ring(id: string): void;
  /** Hears every ring from now on, until it leaves. */
  attend(id: string): Attending;
}

interface Attending {
  /** Resolves at the first ring since the last call of this, or after that many ms: a ring can get lost. */
  next(mostMs: number): Promise<void>;
  leave(): void;
}

export function createBells(clock: Pick<Clock, "after">): Bells {
  const attending = new Map<string, Set<() => void>>();

  return {
    ring(id) {
      for (const wake of attending.get(id) ?? []) wake();
    },
    attend(id) {
      let isRung = false;
      let resolveNext = () => {};
      const wake = () => {
        isRung = true;
        resolveNext();
      };
      const others = attending.get(id) ?? new Set();
      attending.set(id, others.add(wake));
      return {
        async next(mostMs) {
          await new Promise<void>((resolve) => {
            if (isRung) return resolve();
            const cancel = clock.after(mostMs, resolve);
            resolveNext = () => {
              cancel();
              resolve();
            };
          });
          isRung = false;
        },
        leave() {
          others.delete(wake);
          if (others.size === 0 && attending.get(id) === others) attending.delete(id);
        },
      };
    },
  };
}
