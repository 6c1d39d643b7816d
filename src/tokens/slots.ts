import PQueue from "p-queue";
import type { FlightTask } from "./flight-task.ts";

/** One upstream's slots in this process: they limit how many refreshes call its provider at the same time. */
export interface Slots {
  /** A place for one refresh, which holds no slot yet. */
  place(): Place;
}

/** Holds a slot from `take` to `free`, and may take one again. */
export interface Place {
  /** Waits for a slot. False, without one, where the task's grant changes first: it has to be read again. */
  take(task: FlightTask): Promise<boolean>;
  /** Gives the slot to the next in the queue; does nothing where none is held. */
  free(): void;
}

export function createSlots(concurrency: number): Slots {
  const queue = new PQueue({ concurrency });

  return {
    place() {
      let free = () => {};
      return {
        async take(task) {
          const release = await takeFrom(queue, task);
          if (release === undefined) return false;
          free = release;
          return true;
        },
        free: () => free(),
      };
    },
  };
}

/** What frees the slot that was taken; undefined where the task left the queue. */
function takeFrom(queue: PQueue, task: FlightTask): Promise<(() => void) | undefined> {
  const wait = task.beginWait("change");
  return new Promise((resolve) => {
    const occupy = () =>
      new Promise<void>((free) => {
        wait.end();
        resolve(free);
      });
    queue.add(occupy, { signal: wait.signal }).catch(() => {
      wait.end();
      resolve(undefined);
    });
  });
}
