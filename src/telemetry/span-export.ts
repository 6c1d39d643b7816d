import type { BatchSpanProcessor, ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import { codeOf, messageOf } from "../platform/error.ts";
import { foreignText } from "../platform/foreign-text.ts";
import type { Log } from "../platform/log.ts";
import type { TraceMetrics } from "./trace-metrics.ts";

interface SpanExportDeps {
  readonly exporter: SpanExporter;
  /** Makes what collects spans for the exporter it is given. */
  readonly batchesFor: (exporter: SpanExporter) => Pick<BatchSpanProcessor, "onEnd" | "forceFlush" | "shutdown">;
  /** Spans that wait at most. */
  readonly maxWaiting: number;
  /** Where they go, as the log names it. */
  readonly url: string;
  readonly log: Log;
  readonly metrics: TraceMetrics;
}

/**
 * Exports spans, and counts those that do not arrive. A collector that is away costs spans and nothing else: requests
 * never wait for it, what waits for it is bounded, and the log says once that it is away, and once that it is back.
 */
export function createSpanExport(deps: SpanExportDeps): SpanProcessor {
  const { exporter, maxWaiting, url, log, metrics } = deps;
  let waiting = 0;
  let isAway = false;
  const batches = deps.batchesFor({
    export(spans, done) {
      waiting -= spans.length;
      exporter.export(spans, (result) => {
        tell(spans, result.error, result.code === 0);
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  });

  return {
    onStart() {},
    onEnd(span) {
      if (waiting >= maxWaiting) return metrics.spans("dropped", 1);
      waiting += 1;
      batches.onEnd(span);
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  };

  function tell(spans: readonly ReadableSpan[], error: Error | undefined, isExported: boolean): void {
    metrics.spans(isExported ? "exported" : "failed", spans.length);
    if (isExported === !isAway) return;
    isAway = !isExported;
    if (isExported) log.info({ event: "traces_exported", url }, "traces are exported again");
    else
      log.warn(
        { event: "traces_not_exported", url, reason: reasonOf(error) },
        "traces cannot be exported: see `reason`. Requests are answered as before; spans are lost until the collector takes them again",
      );
  }
}

/** A collector's own words are cut short: they may be a page. */
function reasonOf(error: Error | undefined): string {
  const status = error !== undefined && "code" in error && typeof error.code === "number" ? `HTTP ${error.code}` : "";
  return status || codeOf(error) || foreignText(messageOf(error), 100);
}
