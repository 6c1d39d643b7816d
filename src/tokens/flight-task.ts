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

/** One flight's task, and where it stands. What a change of its grant means for it depends on that. */
export interface FlightTask extends Wanted {
  /** When nobody waits for the result any more, monotonic ms. */
  readonly until: number;
  /**
   * Aborted by a change of this grant, here or elsewhere: nothing read before it may be kept, and no refresh token
   * read before it presented.
   */
  readonly outdated: AbortSignal;
  /** The version of the grant that was read last; undefined as long as none was found. */
  seen(): string | undefined;
  /** The grant was read, in that version: from here on it is worked with. */
  reads(version: string): void;
  /** The flight only waits from now on, until `end`; a change or word of one ends the wait, and outdates nothing. */
  waits(endedBy: WaitEnd): Wait;
  /** Somebody wrote that version, or gave the lease on it back. False where this outdates what was read. */
  hears(version: string): boolean;
  /** What was read is out of date, whatever the flight is doing. */
  outdate(): void;
}

/** `any_word`: also a lease that was given back, of the version that is known. `change`: another version only. */
export type WaitEnd = "any_word" | "change";

/** One wait. */
export interface Wait {
  /** Aborted where what was waited for has come. */
  readonly signal: AbortSignal;
  /** The wait is over, for whatever reason. */
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
    reads(version) {
      stance = { kind: "working", version };
    },
    waits(endedBy) {
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

/** Waits until somebody changes the task's grant or gives its lease back, at most so long. True where somebody did. */
export function wordOrDelay(clock: Clock, task: FlightTask, delayMs: number): Promise<boolean> {
  const wait = task.waits("any_word");
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
