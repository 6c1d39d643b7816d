/** One piece of work under way, shared by all who want its result. */
export interface Flight<T> {
  /** What the callers get. May be known before the work is over. */
  readonly result: Promise<T>;
  /** Settles when the work is over, late parts included; never rejects. */
  readonly done: Promise<void>;
}

/**
 * At most one flight per key. Invariant: from `start` until its `done` settles, every `join` with that key gets that
 * flight, and `start` is not called again, unless `release` was called; a flight is detached from its callers, so that
 * nobody who gives up cancels it.
 */
export interface Flights<T> {
  join(key: string, start: () => Flight<T>): Flight<T>;
  has(key: string): boolean;
  /** Nobody joins the current flight any more; its work goes on. */
  release(key: string): void;
  /** Resolves when no flight is under way, released ones included. */
  settled(): Promise<void>;
}

export function createFlights<T>(): Flights<T> {
  const joinable = new Map<string, Flight<T>>();
  const working = new Set<Flight<T>>();
  return {
    join(key, start) {
      const current = joinable.get(key);
      if (current !== undefined) return current;
      const flight = start();
      joinable.set(key, flight);
      working.add(flight);
      void flight.done.then(() => {
        working.delete(flight);
        if (joinable.get(key) === flight) joinable.delete(key);
      });
      return flight;
    },
    has: (key) => joinable.has(key),
    release: (key) => void joinable.delete(key),
    async settled() {
      while (working.size > 0) await Promise.all([...working].map((flight) => flight.done));
    },
  };
}
