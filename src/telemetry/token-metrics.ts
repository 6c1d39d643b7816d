import type { Registry } from "prom-client";
import type { RefreshEnding, RefreshTrigger, RejectionEnding, TokenEvent, TokenMetrics } from "../tokens/metrics.ts";
import type { Names } from "./names.ts";
import { createCells, createDistributions, type Shape } from "./series.ts";

/** Seconds. The last bound is how long a provider's late answer is waited for. */
const bounds = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];

const endings = [
  "refreshed",
  "adopted",
  "revoked",
  "refused",
  "misconfigured",
  "transient",
  "unknown",
] as const satisfies readonly RefreshEnding[];
const rejectionEndings = [
  "rejected",
  "known",
  "held",
  "superseded",
  "unavailable",
] as const satisfies readonly RejectionEnding[];
const triggers = ["expired", "ahead", "asked", "rejected", "id_token"] as const satisfies readonly RefreshTrigger[];
const states = ["closed", "open", "half_open"] as const;

/** The counter of each event, and what it says. */
const events: Readonly<Record<TokenEvent, readonly [name: string, help: string]>> = {
  lease_busy: [
    "bearerswap_lease_busy_total",
    "Refreshes that found another attempt, of this or another replica, holding the grant's lease, and waited.",
  ],
  lease_lost: [
    "bearerswap_leases_lost_total",
    "Leases that ended before their refresh did: the renewal came too late.",
  ],
  adopted: [
    "bearerswap_tokens_adopted_total",
    "Newer tokens of another replica that were served instead of refreshing again.",
  ],
  commit_retry: [
    "bearerswap_commit_retries_total",
    "Further attempts to store new tokens that the store had not taken. Until one succeeds, they exist in this process only.",
  ],
  recommit: [
    "bearerswap_recommits_total",
    "New tokens, or ends of sessions, stored once more, as a failover of the store had brought their predecessors back.",
  ],
  presented_again: [
    "bearerswap_repeated_presentations_total",
    "Refresh tokens presented although an earlier attempt may have used them: its ending was not known.",
  ],
  dead: [
    "bearerswap_dead_grants_total",
    "Grants that ended as the provider refused the refresh token: their users have to log in again.",
  ],
  back_off: ["bearerswap_back_offs_total", "Failed refreshes after which all replicas wait before the next attempt."],
  not_dispatched: [
    "bearerswap_not_dispatched_total",
    "Refreshes not sent, as the last look forbade it: mostly a lease too short for the provider's answer, or a gap.",
  ],
  cache_hit: ["bearerswap_token_cache_hits_total", "Requests whose token this process held."],
  cache_miss: [
    "bearerswap_token_cache_misses_total",
    "Requests whose token this process did not hold, or no longer fresh.",
  ],
  invalidated: [
    "bearerswap_token_cache_invalidations_total",
    "Tokens dropped from this process as their grant was changed elsewhere.",
  ],
  stale_served: [
    "bearerswap_stale_served_total",
    "Tokens served although the store could not be asked whether they are still valid.",
  ],
  unexpected_rotation: [
    "bearerswap_unexpected_rotations_total",
    "Answers with another refresh token from a provider whose upstream says that it never rotates: the configuration is wrong.",
  ],
};

/** Counts what the refresh protocol does, by upstream. Upstreams other than the given ones are not counted. */
export function createTokenMetrics(registry: Registry, upstreams: Names): TokenMetrics {
  const labels = ["upstream"];
  const refreshes = createCells(registry, "counter", {
    name: "bearerswap_refreshes_total",
    help: "Presentations of a refresh token that ended. ending: refreshed, or adopted, revoked, refused, misconfigured, transient, unknown; trigger: expired, ahead of need, asked for by an operator, rejected by the API, or for another ID token (crossApp).",
    labels: ["upstream", "ending", "trigger"],
  });
  const rejections = createCells(registry, "counter", {
    name: "bearerswap_rejections_total",
    help: "401s of APIs to our tokens. result: rejected (the token is replaced), known (it was rejected before), held (replacing it did not help, and nothing is changed for a while), superseded (there is another token already), unavailable (the store could not be told).",
    labels: ["upstream", "result"],
  });
  const durationShape: Shape = {
    name: "bearerswap_refresh_duration_seconds",
    help: "Time from the beginning of a presentation to its ending.",
    labels,
  };
  const durations = createDistributions(registry, durationShape, bounds);
  const flights = createCells(registry, "gauge", {
    name: "bearerswap_flights",
    help: "Refreshes under way in this process.",
    labels,
  });
  const waiters = createCells(registry, "gauge", {
    name: "bearerswap_waiters",
    help: "Requests that wait for a refresh.",
    labels,
  });
  const counters = mapValues(events, ([name, help]) => createCells(registry, "counter", { name, help, labels }));
  const breakers = createCells(registry, "gauge", {
    name: "bearerswap_breaker_state",
    help: "The provider's circuit breaker: 1 for the state it is in (closed, open or half_open), 0 for the others.",
    labels: ["upstream", "state"],
  });
  const byUpstream = new Map<string, ReturnType<typeof row>>();
  upstreams.each((upstream) => void byUpstream.set(upstream, row(upstream)));

  return {
    refreshed(upstream, ending, trigger, durationMs) {
      const found = byUpstream.get(upstream);
      if (found === undefined) return;
      refreshes.of(upstream, ending, trigger).value += 1;
      found.duration.observe(durationMs / 1_000);
    },
    rejection(upstream, ending) {
      if (byUpstream.has(upstream)) rejections.of(upstream, ending).value += 1;
    },
    flights: (upstream, change) => add(byUpstream.get(upstream)?.flights, change),
    waiters: (upstream, change) => add(byUpstream.get(upstream)?.waiters, change),
    count: (event, upstream) => add(byUpstream.get(upstream)?.events[event], 1),
    breaker(upstream, state) {
      if (byUpstream.has(upstream))
        for (const each of states) breakers.of(upstream, each).value = Number(each === state);
    },
  };

  /** Makes all series of an upstream, so that rates are known from the first event on. */
  function row(upstream: string) {
    for (const ending of endings) for (const trigger of triggers) refreshes.of(upstream, ending, trigger);
    for (const ending of rejectionEndings) rejections.of(upstream, ending);
    for (const state of states) breakers.of(upstream, state).value = Number(state === "closed");
    const cells = { duration: durations.of(upstream), flights: flights.of(upstream), waiters: waiters.of(upstream) };
    return { ...cells, events: mapValues(counters, (counter) => counter.of(upstream)) };
  }
}

function add(cell: { value: number } | undefined, change: number): void {
  if (cell !== undefined) cell.value += change;
}

function mapValues<K extends string, V, W>(record: Readonly<Record<K, V>>, map: (value: V) => W): Record<K, W> {
  return Object.fromEntries(Object.entries<V>(record).map(([key, value]) => [key, map(value)])) as Record<K, W>;
}
