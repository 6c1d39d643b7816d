import { z } from "zod";
import { caFile } from "./pem-file.ts";
import { headerName, secret, url } from "./units.ts";

const otlpSchema = z.strictObject({
  endpoint: url()
    .optional()
    .describe(
      "Where a collector takes OTLP over HTTP, without the path `/v1/traces`. Without this key, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says it.",
    ),
  headers: z
    .record(headerName(), secret())
    .default({})
    .describe("Headers of each export, such as the collector's key. Their values are never printed."),
  ca: caFile()
    .optional()
    .describe("The authority that the collector's certificate must come from, in place of those that Node trusts."),
  serviceName: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("What traces call this service. Without this key: what `OTEL_SERVICE_NAME` says, else `bearerswap`."),
});

/** `telemetry`: which traces there are. Metrics need no configuration. */
export const telemetrySchema = z
  .strictObject({
    otlp: otlpSchema.prefault({}).describe("Where traces are exported to."),
    sampleRatio: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        "The part of what comes without a trace of Envoy's, from 0 to 1, that is followed in a new one. Without this key: what `OTEL_TRACES_SAMPLER` says, else all of it. What Envoy's trace says counts for the rest.",
      ),
    trustRequestHeader: z
      .boolean()
      .default(false)
      .describe(
        "True: where Envoy gives no trace, the request's own `traceparent` counts. Only where no client can send one that nobody has checked.",
      ),
  })
  .describe("Traces, by OpenTelemetry: see docs/tracing.md.");

export type TelemetryConfig = z.output<typeof telemetrySchema>;
