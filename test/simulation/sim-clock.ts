import type { CancelTimer } from "../../src/platform/clock.ts";

/** Simulated time: it passes only from one event to the next. */
export interface SimClock {
  /** Ms since the history began. */
  now(): number;
  /** Runs `task` once so many ms from now; events of one instant in the order in which they were made. */
  after(delayMs: number, task: () => void): CancelTimer;
  /** Runs the events up to that instant, each with all that its promises lead to before the next. */
  run(untilMs: number): Promise<void>;
}

interface Event {
  readonly at: number;
  readonly order: number;
  /** Undefined once it was cancelled. */
  task: (() => void) | undefined;
}

export function createSimClock(): SimClock {
  const heap: Event[] = [];
  let now = 0;
  let made = 0;

  return {
    now: () => now,
    after(delayMs, task) {
      const event: Event = { at: now + Math.max(delayMs, 0), order: made++, task };
      push(heap, event);
      return () => {
        event.task = undefined;
      };
    },
    async run(untilMs) {
      for (let next = heap[0]; next !== undefined && next.at <= untilMs; next = heap[0]) {
        pop(heap);
        if (next.task === undefined) continue;
        now = next.at;
        next.task();
        await drained();
      }
      now = untilMs;
    },
  };
}

/** Node runs every promise callback there is before it turns to the next immediate. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Event;
    if (!isBefore(event, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
    const below = heap[child] as Event;
    if (!isBefore(below, last)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}
