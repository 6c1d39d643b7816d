import type { Clock } from "../platform/clock.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { RefreshTrigger } from "./metrics.ts";
import type { Owner } from "./owner.ts";

/** One flight's task. */
export interface FlightTask {
  readonly owner: Owner;
  readonly key: GrantKey;
  readonly trigger: RefreshTrigger;
  /** The version whose token is to be replaced although it is fresh. */
  readonly replacing?: string | undefined;
  /** When nobody waits for the result any more, monotonic ms. */
  readonly until: number;
  /** The version of the grant that the flight has read last. */
  seen: string | undefined;
  /**
   * Set by a change of this grant, here or elsewhere: nothing read before it may be kept, and no refresh token read
   * before it presented.
   */
  outdated: boolean;
  /**
   * Set while the flight waits for others: called when anybody changes the grant or gives its lease back, with the
   * grant's version then where that is known.
   */
  wake: ((version?: string) => void) | undefined;
}

/** Waits until somebody changes the task's grant or gives its lease back, at most so long. True where somebody did. */
export function changeOrDelay(clock: Clock, task: FlightTask, delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, () => done(false));
    task.wake = () => done(true);
    function done(changed: boolean): void {
      cancel();
      task.wake = undefined;
      resolve(changed);
    }
  });
}
