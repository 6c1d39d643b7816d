import type { Clock } from "../platform/clock.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { RefreshTrigger } from "./metrics.ts";
import type { Owner } from "./owner.ts";

/** What one flight is asked for. */
export interface Wanted {
  readonly owner: Owner;
  readonly key: GrantKey;
  readonly trigger: RefreshTrigger;
  /** The version whose token is to be replaced although it is fresh. */
  readonly replacing?: string | undefined;
}

/** One flight's task. A change of its grant outdates what it has read; a flight that only waits looks again instead. */
export interface FlightTask extends Wanted {
  /** The instant from which no caller waits for the result, monotonic ms. */
  readonly until: number;
  /**
   * Aborted when this grant is changed, here or elsewhere: what was read before must not be cached then, and a refresh
   * token that was read before must not be presented.
   */
  readonly outdated: AbortSignal;
  /** The version of the grant that was read last; undefined as long as none was found. */
  seen(): string | undefined;
  /** Notes that the grant was read in that version: the flight works with it from here on. */
  noteRead(version: string): void;
  /** Notes that the flight only waits until `end` is called: a change then ends the wait and outdates nothing. */
  beginWait(endedBy: WaitEnd): Wait;
  /** Tells of a version that was written, or whose lease was given back. False where this outdates what was read. */
  hears(version: string): boolean;
  /** Marks what was read as out of date, whatever the flight is doing. */
  outdate(): void;
}

/** What ends a wait. `change`: another version. `any_word`: that, or the lease on the known version was given back. */
export type WaitEnd = "any_word" | "change";

/** One wait. */
export interface Wait {
  /** Aborted when what it waits for has come. */
  readonly signal: AbortSignal;
  /** To be called when the wait is over, for whatever reason. */
  end(): void;
}

type Stance =
  | { readonly kind: "reading" }
  | { readonly kind: "working"; readonly version: string }
  | {
      readonly kind: "waiting";
      readonly version: string | undefined;
      readonly endedBy: WaitEnd;
      readonly over: AbortController;
    };

/** @param until monotonic ms */
export function createFlightTask(wanted: Wanted, until: number): FlightTask {
  const outdated = new AbortController();
  let stance: Stance = { kind: "reading" };

  return {
    ...wanted,
    until,
    outdated: outdated.signal,
    seen,
    noteRead(version) {
      stance = { kind: "working", version };
    },
    beginWait(endedBy) {
      const version = seen();
      const over = new AbortController();
      const waiting: Stance = { kind: "waiting", version, endedBy, over };
      stance = waiting;
      return {
        signal: over.signal,
        end() {
          if (stance === waiting) stance = version === undefined ? { kind: "reading" } : { kind: "working", version };
        },
      };
    },
    hears(version) {
      if (stance.kind !== "waiting") return version === seen();
      if (stance.endedBy === "any_word" || version !== stance.version) stance.over.abort();
      return true;
    },
    outdate() {
      outdated.abort();
      if (stance.kind === "waiting") stance.over.abort();
    },
  };

  function seen(): string | undefined {
    return stance.kind === "reading" ? undefined : stance.version;
  }
}

/** Waits up to `delayMs` for a change of the task's grant or the return of its lease. True where one came. */
export function wordOrDelay(clock: Clock, task: FlightTask, delayMs: number): Promise<boolean> {
  const wait = task.beginWait("any_word");
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, () => over(false));
    wait.signal.addEventListener("abort", () => over(true), { once: true });
    function over(word: boolean): void {
      cancel();
      wait.end();
      resolve(word);
    }
  });
}
