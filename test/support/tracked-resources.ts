export type Stop = () => unknown;

/** What somebody opened and has to close. */
export interface Resources {
  /** Remembers `resource` for closing, by its `stop` or `close`, and hands it back. */
  use<T extends { stop: Stop } | { close: Stop }>(resource: T | Promise<T>): Promise<T>;
  /** Runs `stop` when everything is closed. */
  onStop(stop: Stop): void;
  /** Closes everything now, newest first; every one is tried, then the first failure is thrown. */
  stopAll(): Promise<void>;
}

/** For those who call `stopAll` themselves, such as the demo and the benchmark; tests use `resources`. */
export function trackedResources(): Resources {
  const stops: Stop[] = [];

  async function stopAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
      try {
        await stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  return {
    async use(resource) {
      const opened = await resource;
      stops.push(() => ("stop" in opened ? opened.stop() : opened.close()));
      return opened;
    },
    onStop: (stop) => void stops.push(stop),
    stopAll,
  };
}
