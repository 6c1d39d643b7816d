import { onTestFinished, vi } from "vitest";

/** The time limits that `AbortSignal.timeout` was asked for, which pass when the test says so. */
export interface ManualTimeouts {
  /** In ms, oldest first. */
  readonly asked: readonly number[];
  /** Ends all of them, as the platform does. */
  expire(): void;
}

/** For the rest of the test, takes the place of the platform's timer behind `AbortSignal.timeout`. */
export function manualTimeouts(): ManualTimeouts {
  const asked: number[] = [];
  const controllers: AbortController[] = [];
  const spy = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    const controller = new AbortController();
    asked.push(ms);
    controllers.push(controller);
    return controller.signal;
  });
  onTestFinished(() => spy.mockRestore());
  return {
    asked,
    expire() {
      for (const controller of controllers)
        controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
    },
  };
}
