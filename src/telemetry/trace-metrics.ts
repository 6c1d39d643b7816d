import type { Registry } from "prom-client";
import { createCells } from "./series.ts";

/**
 * What became of a span: `exported`, `failed` where the collector did not take it, `dropped` where too many waited for
 * their export.
 */
export type SpanEnding = "exported" | "failed" | "dropped";

const endings = ["exported", "failed", "dropped"] as const satisfies readonly SpanEnding[];

/** Counts what becomes of spans. */
export interface TraceMetrics {
  spans(ending: SpanEnding, count: number): void;
}

export function createTraceMetrics(registry: Registry): TraceMetrics {
  const spans = createCells(registry, "counter", {
    name: "bearerswap_trace_spans_total",
    help: "Spans of traces. result: exported, failed (the collector did not take them), dropped (too many were waiting). Requests are answered alike.",
    labels: ["result"],
  });
  for (const ending of endings) spans.of(ending);
  return {
    spans(ending, count) {
      spans.of(ending).value += count;
    },
  };
}
