import { cluster, type EnvoySetup, envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import { type OtlpCollector, startOtlpCollector } from "../support/otlp-collector.ts";
import type { CollectedSpan } from "../support/otlp-spans.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

/** Spans leave at once. */
export const atOnce = { OTEL_BSP_SCHEDULE_DELAY: "20" };

/** Envoy's tracer, which exports to that collector; `sampled`: the part of new traces that it follows, in percent. */
export function envoyTracer({ port, url }: OtlpCollector, sampled = 100) {
  const tracer = {
    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
    service_name: "envoy",
    http_service: { http_uri: { uri: `${url}/v1/traces`, cluster: "collector", timeout: "1s" } },
  };
  const provider = { name: "envoy.tracers.opentelemetry", typed_config: tracer };
  return {
    manager: { tracing: { provider, random_sampling: { value: sampled } } },
    clusters: [cluster("collector", `127.0.0.1:${port}`, false)],
    runtime: { "tracing.opentelemetry.min_flush_spans": 1 },
  };
}

export interface TracedWorld extends Scenario {
  readonly collector: OtlpCollector;
  readonly redis: RedisServer;
  /** Sends a request of the scenario's session through Envoy. */
  send(headers?: Readonly<Record<string, string>>, path?: string): Promise<HttpAnswer>;
  /** What bearerswap exported. */
  spans(): readonly CollectedSpan[];
  /** Waits for the span of an answered Check that this tells from others. */
  checked(isWanted?: (span: CollectedSpan) => boolean): Promise<CollectedSpan>;
}

interface TracedOptions extends ScenarioOptions {
  /** What else `telemetry` says. */
  readonly telemetry?: object;
  /** Envoy's tracer; `none` where it has none. */
  readonly envoy?: "none" | Partial<EnvoySetup>;
  /** More fields of Envoy's connection manager. */
  readonly edge?: object;
}

/** A scenario behind a real Envoy. Both export their traces to one collector, and grants are in Redis. */
export async function startTracedWorld(
  use: Resources,
  { telemetry = {}, envoy = {}, edge = {}, config = {}, env = {}, ...options }: TracedOptions = {},
): Promise<TracedWorld> {
  const collector = await use.use(startOtlpCollector());
  const redis = await use.use(startRedis());
  const traced = {
    store: { redis: { url: redis.url } },
    telemetry: { otlp: { endpoint: collector.url }, ...telemetry },
    ...config,
  };
  const scenario = await startScenario(use, { ...options, config: traced, env: { ...atOnce, ...env } });
  const api = await use.use(startUpstreamApi({ accepts: scenario.provider.tokens.isActive }));
  const { manager, ...traces } = envoyTracer(collector);
  const tracer = envoy === "none" ? {} : { ...traces, manager: { ...manager, ...edge }, ...envoy };
  const ends = { service: scenario.service.grpc, upstreamPort: api.port, upstream: "crm" };
  const { port } = await use.use(startEnvoy({ config: envoyConfig({ ...ends, ...tracer }) }));
  const spans = () => collector.spans().filter(({ service }) => service === "bearerswap");
  return {
    ...{ ...scenario, collector, redis, spans },
    send: (headers = {}, path = "/things") => get(port("main"), path, { ...bearer().headers, ...headers }),
    checked: (isWanted = () => true) =>
      until("the span of a Check", () => spans().find((span) => span.kind === "server" && isWanted(span))),
  };
}

/** The trace as lines of `service name`, each indented below the span that it belongs to, in the order of their starts. */
export function treeOf(spans: readonly CollectedSpan[], trace: string): string[] {
  const own = spans.filter((span) => span.trace === trace).sort((a, b) => Number(a.startedAt - b.startedAt));
  const below = (parent: CollectedSpan | undefined, depth: number): string[] =>
    own
      .filter((span) => (parent === undefined ? own.every(({ id }) => id !== span.parent) : span.parent === parent.id))
      .flatMap((span) => [`${"  ".repeat(depth)}${span.service} ${span.name}`, ...below(span, depth + 1)]);
  return below(undefined, 0);
}
