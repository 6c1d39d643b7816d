import type { Clock } from "../../src/platform/clock.ts";
import type { History } from "./history.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";

/** A process as the operating system has it: it can be frozen, and it can end between any two of its steps. */
export interface SimProcess {
  readonly name: string;
  /**
   * Its clocks: the wall clock minutes off, the monotonic one with an origin of its own. Timers fire a little late, as
   * everywhere.
   */
  readonly clock: Clock;
  /** Something comes in. It runs now, after a freeze, or never; the process may end just before. */
  deliver(task: () => void): void;
  /** Something is about to go out. False where the process has ended, perhaps just now. */
  leaves(): boolean;
  isEnded(): boolean;
  freeze(ms: number): void;
  crash(why: string): void;
  /** It met a fault then (default: now): until the returned function is called it cannot be expected to do its part. */
  unwell(from?: number): () => void;
  wasUnwell(from: number, to: number): boolean;
  wasFrozen(from: number, to: number): boolean;
}

interface Span {
  readonly from: number;
  to: number;
}

/** Times in which something was not as it should be. */
export interface Spans {
  /** One begins then (default: now), and lasts until the returned function is called. */
  begin(from?: number): () => void;
  overlap(from: number, to: number): boolean;
}

export function createSpans(clock: Pick<SimClock, "now">): Spans {
  const spans: Span[] = [];
  return {
    begin(from = clock.now()) {
      const span = { from, to: Number.POSITIVE_INFINITY };
      spans.push(span);
      return () => {
        span.to = Math.min(span.to, clock.now());
      };
    },
    overlap: (from, to) => spans.some((span) => span.from <= to && span.to >= from),
  };
}

export interface SimProcessDeps {
  readonly name: string;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly wallOffsetMs: number;
  /** How likely it ends at each step. */
  readonly crashChance: () => number;
  readonly onCrash: () => void;
}

export function createSimProcess({
  name,
  clock,
  rng,
  history,
  wallOffsetMs,
  crashChance,
  onCrash,
}: SimProcessDeps): SimProcess {
  const origin = Math.floor(rng.between(0, 1e6));
  const illnesses = createSpans(clock);
  const freezes = createSpans(clock);
  let ended = false;
  let frozen = false;
  let timers: (() => void)[] = [];
  let arrivals: (() => void)[] = [];

  const process: SimProcess = {
    name,
    clock: {
      wallMs: () => clock.now() + wallOffsetMs,
      monotonicMs: () => clock.now() + origin,
      after: (delayMs, task) => {
        let cancelled = false;
        const fire = () => void (cancelled || task());
        const cancel = clock.after(delayMs + rng.next(), () => arrive(timers, fire));
        return () => {
          cancelled = true;
          cancel();
        };
      },
    },
    deliver: (task) => arrive(arrivals, task),
    leaves() {
      if (!ended && rng.chance(crashChance())) process.crash("before it sends");
      return !ended;
    },
    isEnded: () => ended,
    freeze(ms) {
      if (ended || frozen) return;
      history.note(name, "freezes for", ms);
      frozen = true;
      const well = process.unwell();
      const thawed = freezes.begin();
      clock.after(ms, () => {
        well();
        thawed();
        resume();
      });
    },
    crash(why) {
      if (ended) return;
      history.note(name, "crashes", why);
      ended = true;
      process.unwell();
      onCrash();
    },
    unwell: illnesses.begin,
    wasUnwell: illnesses.overlap,
    wasFrozen: freezes.overlap,
  };
  return process;

  function arrive(queue: (() => void)[], task: () => void): void {
    if (ended) return;
    if (frozen) queue.push(task);
    else step(task);
  }

  function step(task: () => void): void {
    if (rng.chance(crashChance())) process.crash("between two steps");
    if (!ended) task();
  }

  /**
   * Timers that came due and messages that came in: which of them are seen first is not said. Each with what its
   * promises lead to.
   */
  function resume(): void {
    if (ended) return;
    history.note(name, "goes on");
    frozen = false;
    const missed = rng.chance(0.5) ? [...timers, ...arrivals] : [...arrivals, ...timers];
    timers = [];
    arrivals = [];
    for (const task of missed) clock.after(0, () => arrive(arrivals, task));
  }
}
