import type { Registry } from "prom-client";
import type { MintEnding, MintMetrics } from "../minted/metrics.ts";
import type { Names } from "./names.ts";
import { createCells, createDistributions } from "./series.ts";

/** Seconds. */
const bounds = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];
const endings = [
  "minted",
  "shared",
  "refused",
  "misconfigured",
  "transient",
  "unknown",
] as const satisfies readonly MintEnding[];

export function createMintMetrics(registry: Registry, upstreams: Names): MintMetrics {
  const mints = createCells(registry, "counter", {
    name: "bearerswap_mints_total",
    help: "Tokens that were needed where an upstream's tokens are minted. result: minted (the provider gave one), shared (another replica had one), refused, misconfigured, transient, unknown.",
    labels: ["upstream", "result"],
  });
  const durations = createDistributions(
    registry,
    {
      name: "bearerswap_mint_duration_seconds",
      help: "Time that the provider took to give a minted token, or not to.",
      labels: ["upstream"],
    },
    bounds,
  );
  upstreams.each((upstream) => {
    for (const ending of endings) mints.of(upstream, ending);
    durations.of(upstream);
  });
  return {
    minted(upstream, ending, durationMs) {
      mints.of(upstream, ending).value += 1;
      if (durationMs !== undefined) durations.of(upstream).observe(durationMs / 1_000);
    },
  };
}
