import type { RefreshTrigger } from "./metrics.ts";

/** A flight as traces know it. */
export interface FollowedFlight<T> {
  readonly result: Promise<T>;
  /** Notes in the trace of the request that calls this that it waits for the flight. */
  waits(): void;
}

/** Follows flights in traces. Absent where nothing is traced. */
export interface FlightTracing {
  /**
   * Runs a flight's work: as a part of the request that begins it, or with trigger `ahead`, where no request waits, in
   * a trace of its own. `kind` of the result says how it ended.
   */
  follow<T extends { readonly kind: string }>(
    upstream: string,
    trigger: RefreshTrigger,
    work: () => Promise<T>,
  ): FollowedFlight<T>;
}

/** What flights may be followed by. */
export interface Traced {
  readonly tracing?: FlightTracing | undefined;
}

/** Nothing is traced. */
export const untraced: FlightTracing = {
  follow: (_upstream, _trigger, work) => ({ result: work(), waits() {} }),
};
