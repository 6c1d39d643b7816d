import type { Registry } from "prom-client";
import type { ConfigMetrics, ReloadResult } from "./metrics.ts";
import { createCells } from "./series.ts";

const results = ["loaded", "unchanged", "failed"] as const satisfies readonly ReloadResult[];

export function createConfigMetrics(registry: Registry): ConfigMetrics {
  const reloads = createCells(registry, "counter", {
    name: "bearerswap_config_reloads_total",
    help: "Reloads of the configuration. result: loaded (it is in force), unchanged (it says what was in force already), failed (it has problems or needs a restart: what was in force still is).",
    labels: ["result"],
  });
  for (const result of results) reloads.of(result);
  const failing = createCells(registry, "gauge", {
    name: "bearerswap_config_reload_failing",
    help: "1 where the last reload failed, so that the files say something else than what is in force; else 0.",
    labels: [],
  }).of();
  const loadedAt = createCells(registry, "gauge", {
    name: "bearerswap_config_loaded_timestamp_seconds",
    help: "When the configuration that is in force was loaded, in seconds since 1970.",
    labels: [],
  }).of();
  return {
    reloaded(result) {
      reloads.of(result).value += 1;
      failing.value = result === "failed" ? 1 : 0;
    },
    inForce(wallMs) {
      loadedAt.value = wallMs / 1_000;
    },
  };
}
