import type { Registry } from "prom-client";
import type { HealMetrics, RetryEnding } from "../heal/metrics.ts";
import type { Names } from "./names.ts";
import { createCells } from "./series.ts";

const endings = ["healed", "unchanged", "denied"] as const satisfies readonly RetryEnding[];

/** Counts requests that Envoy tried again, by upstream. */
export function createHealMetrics(registry: Registry, upstreams: Names): HealMetrics {
  const retries = createCells(registry, "counter", {
    name: "bearerswap_retries_total",
    help: "Requests that Envoy was about to send again. result: healed (with another token), unchanged (with its own, which no API has rejected or whose rejection changes nothing for a while), denied (no token can be had: the client is answered in place of the API).",
    labels: ["upstream", "result"],
  });
  upstreams.each((upstream) => {
    for (const ending of endings) retries.of(upstream, ending);
  });
  return {
    retried(upstream, ending) {
      retries.of(upstream, ending).value += 1;
    },
  };
}
