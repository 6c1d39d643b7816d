/** Work that goes on even if nobody waits for it any more, and that is waited for before the process ends. */
export interface RunningWork {
  /** Returns the work itself. */
  track<T>(work: Promise<T>): Promise<T>;
  /** Resolves when none is under way; never rejects. */
  settled(): Promise<void>;
}

export function createRunningWork(): RunningWork {
  const running = new Set<Promise<unknown>>();
  return {
    track(work) {
      running.add(work);
      const done = () => void running.delete(work);
      work.then(done, done);
      return work;
    },
    async settled() {
      while (running.size > 0) await Promise.allSettled(running);
    },
  };
}
