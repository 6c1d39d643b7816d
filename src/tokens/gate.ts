import type { LimitFunction } from "p-limit";
import type { Provider } from "../providers/provider.ts";
import type { Breaker } from "./breaker.ts";
import type { FlightTask } from "./flight-task.ts";
import type { RefreshResult } from "./presentation.ts";
import type { Rotation } from "./rotation.ts";

/** What stands before one upstream's provider in this process. */
export interface Gate {
  readonly provider: Provider;
  readonly rotation: Rotation;
  readonly breaker: Breaker;
  readonly slots: LimitFunction;
}

/** What one turn led to: a result, or another turn, after waiting for others. */
export type Turn = RefreshResult | { readonly kind: "wait"; readonly ms: number } | { readonly kind: "again" };

/** What is left to do once the slot is free again. */
export type Settlement = () => Promise<Turn>;

/** One wait for a slot. */
export interface Queued {
  readonly task: FlightTask;
  /** The version that is to be refreshed. */
  readonly version: string;
  /** What is done in the slot. */
  readonly step: () => Promise<Settlement>;
  /** What is done instead where the grant changes before it is this one's turn. */
  readonly whenChanged: Settlement;
}

/**
 * Runs a step in a slot. Whoever is still in the queue when the grant changes looks again at once, instead of when its
 * turn comes.
 */
export function inSlot({ slots }: Gate, { task, version, step, whenChanged }: Queued): Promise<Settlement> {
  const changed = Promise.withResolvers<Settlement>();
  let queued = true;
  task.wake = (current) => {
    if (current === version) return; // a lease given back
    leave();
    changed.resolve(whenChanged);
  };
  const turn = slots(async () => {
    if (!queued) return whenChanged;
    leave();
    return step();
  });
  return Promise.race([turn, changed.promise]);

  function leave(): void {
    queued = false;
    task.wake = undefined;
  }
}
