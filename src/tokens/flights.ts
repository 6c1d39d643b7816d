import type { Clock } from "../platform/clock.ts";
import { deadlineIn } from "../platform/deadline.ts";
import { type GrantKey, grantId } from "../stores/grant.ts";
import type { Change } from "../stores/token-store.ts";
import { createFlightTask, type FlightTask, type Wanted } from "./flight-task.ts";
import type { TokenMetrics } from "./metrics.ts";
import { type FlightResult, unavailable } from "./resolve.ts";
import { type Traced, untraced } from "./tracing.ts";

/** One piece of work under way, shared by all who want its result. */
export interface Flight {
  /** What the callers get: within the refresh timeout, perhaps before the work is over. */
  readonly result: Promise<FlightResult>;
  /** Settles when the work is over, late parts included; never rejects. */
  readonly done: Promise<void>;
}

/**
 * At most one flight per grant. Invariant: until a flight is done, every caller for its grant joins it, unless what it
 * has read is out of date; otherwise each caller would refresh on its own. No caller owns the flight: otherwise one
 * that gives up would cancel a refresh whose answer is the only copy of the login.
 */
export interface Flights {
  /** The grant's flight that is under way, or a new one for this. */
  join(wanted: Wanted): Flight;
  has(key: GrantKey): boolean;
  /** Whether a flight is under way that has found a grant: any stranger can begin one for a session that has none. */
  hasFound(key: GrantKey): boolean;
  /**
   * Tells the grant's flight of a change. False where the change outdates what it has read; a flight that only waits
   * for such a change looks again by itself.
   */
  hears(change: Change): boolean;
  /** Marks what the grant's flight has read as out of date: its waiters and later requests share a new flight. */
  outdate(key: GrantKey): void;
  /** Like `outdate`, for all flights of an upstream. */
  outdateAll(upstream: string): void;
  /** Resolves when no flight is under way, outdated ones included. */
  settled(): Promise<void>;
}

export interface FlightsDeps extends Traced {
  /** A flight's work, which ends when what came of it is stored. Never rejects. */
  readonly work: (task: FlightTask) => Promise<FlightResult>;
  readonly clock: Clock;
  readonly metrics: Pick<TokenMetrics, "flights">;
  /** It may change, and counts as it is when a flight begins. */
  readonly config: { readonly timeoutMs: number };
}

interface UnderWay extends Flight {
  readonly task: FlightTask;
  /** Whoever joins it to wait for its result says so. */
  readonly waits: () => void;
  readonly outdate: () => void;
}

export function createFlights({ work, clock, metrics, config, tracing = untraced }: FlightsDeps): Flights {
  /** The latest flight of each grant. One that is outdated works on, but nobody joins it. */
  const latest = new Map<string, UnderWay>();
  const working = new Set<Flight>();

  return {
    join(wanted) {
      const flight = joinable(wanted.key);
      if (flight === undefined) return begin(wanted);
      if (wanted.trigger !== "ahead") flight.waits();
      return flight;
    },
    has: (key) => joinable(key) !== undefined,
    hasFound: (key) => latest.get(grantId(key))?.task.seen() !== undefined,
    hears: ({ version, ...key }) => latest.get(grantId(key))?.task.hears(version) !== false,
    outdate: (key) => latest.get(grantId(key))?.outdate(),
    outdateAll(upstream) {
      for (const { task, outdate } of latest.values()) if (task.key.upstream === upstream) outdate();
    },
    async settled() {
      while (working.size > 0) await Promise.all([...working].map(({ done }) => done));
    },
  };

  function joinable(key: GrantKey): UnderWay | undefined {
    const flight = latest.get(grantId(key));
    return flight?.task.outdated.aborted === false ? flight : undefined;
  }

  function begin(wanted: Wanted): Flight {
    const id = grantId(wanted.key);
    const { timeoutMs } = config;
    const task = createFlightTask(wanted, clock.monotonicMs() + timeoutMs);
    const outdated = Promise.withResolvers<FlightResult>();
    metrics.flights(task.key.upstream, 1);
    const { result, waits } = tracing.follow(task.key.upstream, task.trigger, () => work(task));
    const done = result.then(() => {
      metrics.flights(task.key.upstream, -1);
      working.delete(flight);
      if (latest.get(id) === flight) latest.delete(id);
    });
    const flight: UnderWay = {
      task,
      waits,
      result: deadlineIn(clock, timeoutMs).before(Promise.race([result, outdated.promise]), () =>
        unavailable("refresh_timeout"),
      ),
      done,
      outdate() {
        task.outdate();
        outdated.resolve({ kind: "outdated" });
      },
    };
    working.add(flight);
    latest.set(id, flight);
    return flight;
  }
}
