/** Chance from one seed: the same seed gives the same numbers. */
export interface Rng {
  /** In [0, 1). */
  next(): number;
  chance(probability: number): boolean;
  between(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
  /** A generator of its own, so that one consumer's draws do not shift another's. */
  fork(): Rng;
}

/** mulberry32: a Weyl sequence through a 32-bit mixer. More than good enough to choose faults, and ten lines. */
export function createRng(seed: number): Rng {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return {
    next,
    chance: (probability) => next() < probability,
    between: (low, high) => low + next() * (high - low),
    pick: (list) => list[Math.floor(next() * list.length)] as (typeof list)[number],
    fork: () => createRng(Math.floor(next() * 0x1_0000_0000)),
  };
}
