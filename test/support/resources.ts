import { afterAll, afterEach } from "vitest";

export type Stop = () => unknown;

/** What a test opened and has to close. */
export interface Resources {
  /** Remembers `resource` for closing, by its `stop` or `close` or by the function given, and hands it back. */
  use<T extends { stop: Stop } | { close: Stop }>(resource: T | Promise<T>): Promise<T>;
  /** Runs `stop` when the test or file ends. */
  onStop(stop: Stop): void;
  /** Closes everything now, newest first; every one is tried, then the first failure is thrown. */
  stopAll(): Promise<void>;
}

/** Closes what is registered in it after each test, or with `"file"` after the last test of the file or describe block. */
export function resources(scope: "test" | "file" = "test"): Resources {
  const tracked = trackedResources();
  if (scope === "test") afterEach(tracked.stopAll, 30_000);
  else afterAll(tracked.stopAll, 30_000);
  return tracked;
}

/** The same without vitest: the demo and the benchmark call `stopAll` themselves. */
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
