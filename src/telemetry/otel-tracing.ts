import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Sampling, TracingConfig } from "../platform/tracing-config.ts";
import { version } from "../platform/version.ts";
import { createSpanExport } from "./span-export.ts";
import { createSpans } from "./spans.ts";
import { tracedCheck, tracedOutcomes, tracedRoutes } from "./traced-check.ts";
import { tracedEndings, tracedFlights } from "./traced-flights.ts";
import { tracedFetch, tracedStore } from "./traced-io.ts";
import type { CreateTracing, Tracing } from "./tracing.ts";

/** No value that we write is longer but for a URL's path. */
const longestValue = 512;

type TracingDeps = Parameters<CreateTracing>[0] & { readonly config: TracingConfig };

/** Traces by the SDK of OpenTelemetry, which this file and its neighbours alone import. */
export function createTracing({ config, log, metrics }: TracingDeps): Tracing {
  const { url, headers, ca, batches, trustRequestHeader } = config;
  const exporter = new OTLPTraceExporter({
    url,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()])),
    ...(ca === undefined ? {} : { httpAgentOptions: { keepAlive: true, ca } }),
  });
  const batchesFor = (to: SpanExporter) =>
    new BatchSpanProcessor({
      exporter: to,
      scheduledDelayMillis: batches.delayMs,
      maxQueueSize: batches.maxWaiting,
      maxExportBatchSize: batches.maxSpans,
    });
  const provider = new TracerProvider({
    resource: resourceOf(config),
    sampler: samplerOf(config.sampling),
    spanLimits: { attributeValueLengthLimit: longestValue },
    spanProcessors: [createSpanExport({ exporter, batchesFor, maxWaiting: batches.maxWaiting, url, log, metrics })],
  });
  const spans = createSpans(provider.getTracer("bearerswap", version));

  return {
    ...tracedFlights(spans),
    ...tracedStore(spans),
    check: (check) => tracedCheck({ spans, check, trustRequestHeader }),
    routes: (routes) => tracedRoutes(spans, routes),
    fetches: ({ fetchFor, guardedFetchFor }) => ({
      fetchFor: (authority, traits) => tracedFetch(spans, fetchFor(authority, traits), traits),
      guardedFetchFor: (authority, guard) => tracedFetch(spans, guardedFetchFor(authority, guard), guard),
    }),
    outcomes: (all) => ({ ...all, checks: tracedOutcomes(spans, all.checks), ...tracedEndings(spans, all) }),
    async close(timeoutMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      // What is lost with it was counted, and said, when its export failed.
      await Promise.race([provider.shutdown().catch(() => {}), promise]);
      clearTimeout(timer);
    },
  };
}

/** Who says all this: first the configuration, then the variables of OpenTelemetry, then we. */
function resourceOf({ serviceName }: TracingConfig) {
  const named = serviceName === undefined ? {} : { "service.name": serviceName };
  const detectors = [serviceInstanceIdDetector, resourceAttributesEnvDetector, serviceNameEnvDetector];
  return defaultResource()
    .merge(resourceFromAttributes({ "service.name": "bearerswap", "service.version": version }))
    .merge(detectResources({ detectors }))
    .merge(resourceFromAttributes(named));
}

function samplerOf({ ratio, parentBased }: Sampling): Sampler {
  const root = rootSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

function rootSampler(ratio: number): Sampler {
  if (ratio <= 0) return new AlwaysOffSampler();
  return ratio >= 1 ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(ratio);
}
