import type { Check } from "../check/check.ts";
import type { CheckMetrics } from "../check/metrics.ts";
import type { Routes } from "../check/routes.ts";
import type { MintMetrics } from "../minted/metrics.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { GuardedFetchFor } from "../platform/guarded-fetch.ts";
import type { Log } from "../platform/log.ts";
import type { StoreTracing } from "../stores/tracing.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import type { FlightTracing } from "../tokens/tracing.ts";
import type { TraceMetrics } from "./trace-metrics.ts";

interface CountedOutcomes {
  readonly checks: CheckMetrics;
  readonly tokens: TokenMetrics;
  readonly mints: MintMetrics;
}

interface Fetches {
  readonly fetchFor: FetchFor;
  readonly guardedFetchFor: GuardedFetchFor;
}

/** Traces of what the service does. Each of these gives back what it is given, followed in traces. */
export interface Tracing extends FlightTracing, StoreTracing {
  check(check: Check): Check;
  routes(routes: Routes): Routes;
  fetches(outer: Fetches): Fetches;
  /** What is counted of a request's outcome is noted in its trace, too. */
  outcomes<M extends CountedOutcomes>(metrics: M): M;
  /** Exports what waits, within this time. Never rejects. */
  close(timeoutMs: number): Promise<void>;
}

/** Makes the traces of a service. */
export type CreateTracing = (deps: { readonly log: Log; readonly metrics: TraceMetrics }) => Tracing;
