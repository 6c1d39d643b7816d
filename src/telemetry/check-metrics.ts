import type { Registry } from "prom-client";
import type { CheckMetrics, CheckOutcome } from "../check/metrics.ts";
import type { Names } from "./names.ts";
import { createCells, createDistributions } from "./series.ts";

/**
 * Seconds. Checks with a cached token are in the first bucket, those with a refresh take as long as the provider does,
 * and the last bound is beyond any sensible `check.deadline`.
 */
const bounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

/**
 * Whether each outcome is counted with an upstream, without one, or both. `later`: few configurations have it, and its
 * cells are made when it is first counted.
 */
const outcomes: Readonly<Record<CheckOutcome, "upstream" | "none" | "both" | "later">> = {
  allowed: "upstream",
  omitted: "later",
  passthrough: "none",
  session_missing: "upstream",
  session_invalid: "upstream",
  grant_missing: "upstream",
  grant_refused: "upstream",
  subject_mismatch: "upstream",
  insufficient_scope: "later",
  policy_refused: "upstream",
  identity_refused: "upstream",
  no_upstream: "none",
  unavailable: "both",
  bad_request: "none",
  connect: "none",
};

/** Counts Checks by upstream. Those without one are counted under the empty name, which no upstream can have. */
export function createCheckMetrics(registry: Registry, upstreams: Names): CheckMetrics {
  const checks = createCells(registry, "counter", {
    name: "bearerswap_checks_total",
    help: "Checks answered. reason: allowed, passthrough, omitted (let through without the token of this upstream), connect (a page of our own), or the reason of the denial; upstream is empty where none was found for the request. With several upstreams a Check that is let through counts for each of them.",
    labels: ["upstream", "reason"],
  });
  const durations = createDistributions(
    registry,
    {
      name: "bearerswap_check_duration_seconds",
      help: "Time from a Check's arrival to its answer, the wait for a refresh included.",
      labels: ["upstream"],
    },
    bounds,
  );
  const byUpstream = new Map<string, ReturnType<typeof row>>();
  upstreams.each((upstream) => void byUpstream.set(upstream, row(upstream, "upstream")));
  const without = row("", "none");

  return {
    answered(upstream, outcome, durationMs) {
      const found = upstream === undefined ? without : byUpstream.get(upstream);
      if (found === undefined) return;
      const cell = found.cells[outcome] ?? checks.of(found.upstream, outcome);
      cell.value += 1;
      found.duration.observe(durationMs / 1_000);
    },
  };

  /** One upstream's cells, found by one look-up for each Check. */
  function row(upstream: string, kind: "upstream" | "none") {
    const usual = (Object.keys(outcomes) as CheckOutcome[]).filter(
      (outcome) => outcomes[outcome] === kind || outcomes[outcome] === "both",
    );
    const cells: Partial<Record<CheckOutcome, { value: number }>> = Object.fromEntries(
      usual.map((outcome) => [outcome, checks.of(upstream, outcome)]),
    );
    return { upstream, cells, duration: durations.of(upstream) };
  }
}
