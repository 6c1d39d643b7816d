/** Holds back answers until a test lets them go, so that the test needs no sleeps. */
export interface AnswerGate {
  /** How many answers are held back now. */
  readonly waiting: number;
  /** Resolves when `count` answers (default 1) have come to the gate since it was made. */
  arrived(count?: number): Promise<void>;
  /** Lets them go, and all that follow. */
  release(): void;
  /** For the server: resolves when this answer may go. */
  pass(): Promise<void>;
}

export function createAnswerGate(): AnswerGate {
  const opened = Promise.withResolvers<void>();
  const watchers = new Set<{ readonly count: number; readonly resolve: () => void }>();
  let open = false;
  let arrivals = 0;
  let waiting = 0;

  return {
    get waiting() {
      return waiting;
    },
    arrived(count = 1) {
      if (arrivals >= count) return Promise.resolve();
      return new Promise((resolve) => void watchers.add({ count, resolve }));
    },
    release() {
      open = true;
      waiting = 0;
      opened.resolve();
    },
    async pass() {
      arrivals++;
      if (!open) waiting++;
      for (const watcher of watchers) if (arrivals >= watcher.count) watcher.resolve();
      await opened.promise;
    },
  };
}
