import type { Sampling, TracingConfig } from "../platform/tracing-config.ts";
import type { TelemetryConfig } from "./telemetry-schema.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** What is traced, and what is left out of it that the variables of OpenTelemetry ask for. */
interface ConfiguredTracing {
  /** Undefined where nothing is traced. */
  readonly tracing: TracingConfig | undefined;
  readonly warnings: readonly string[];
}

const tracesPath = "v1/traces";
/** Where OpenTelemetry looks for a collector that nothing names. */
const usualEndpoint = "http://localhost:4318";

/**
 * The section `telemetry`, and what it leaves open by the standard variables of OpenTelemetry. A variable that cannot be
 * followed costs traces and not the start of the service: whoever sets it often sets it for all that run on a platform.
 */
export function tracingOf(section: TelemetryConfig | undefined, env: Env): ConfiguredTracing {
  const warnings: string[] = [];
  const url = urlOf(section, env, warnings);
  if (url === undefined) return { tracing: undefined, warnings };
  const { otlp, trustRequestHeader = false } = section ?? {};
  const tracing: TracingConfig = {
    url,
    headers: otlp?.headers ?? {},
    ca: otlp?.ca,
    serviceName: otlp?.serviceName,
    sampling: samplingOf(section, env, warnings),
    trustRequestHeader,
    batches: {
      delayMs: numberIn(env, "OTEL_BSP_SCHEDULE_DELAY", 5_000, warnings),
      maxWaiting: numberIn(env, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048, warnings),
      maxSpans: numberIn(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, warnings),
    },
  };
  return { tracing, warnings };
}

function urlOf(section: TelemetryConfig | undefined, env: Env, warnings: string[]): string | undefined {
  const exporters = set(env, "OTEL_TRACES_EXPORTER")?.split(",").map(lower);
  if (set(env, "OTEL_SDK_DISABLED")?.toLowerCase() === "true" || exporters?.includes("none")) return undefined;
  const configured = section?.otlp.endpoint;
  if (configured !== undefined) return withPath(configured);
  const own = set(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const common = set(env, "OTEL_EXPORTER_OTLP_ENDPOINT");
  const isAsked = exporters?.includes("otlp") === true;
  if (exporters !== undefined && !isAsked) {
    warnings.push(`OTEL_TRACES_EXPORTER: ${exporters.join(",")} is not known here, only otlp is: nothing is traced`);
    return undefined;
  }
  if (own === undefined && common === undefined && !isAsked) return undefined;
  if (!isSpoken(env, warnings)) return undefined;
  const given = own ?? withPath(common ?? usualEndpoint);
  if (/^https?:$/.test(URL.parse(given)?.protocol ?? "")) return given;
  warnings.push("OTEL_EXPORTER_OTLP_ENDPOINT: is no http:// or https:// URL: nothing is traced");
  return undefined;
}

/** Whether we speak the protocol that is asked for. Who takes JSON takes protobuf at the same place. */
function isSpoken(env: Env, warnings: string[]): boolean {
  const name = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"].find((each) => set(env, each));
  const protocol = name && set(env, name);
  if (protocol === undefined || protocol.startsWith("http/")) return true;
  warnings.push(
    `${name}: ${protocol} is not spoken here, only http/protobuf is, which collectors take at port 4318: nothing is traced`,
  );
  return false;
}

function samplingOf(section: TelemetryConfig | undefined, env: Env, warnings: string[]): Sampling {
  if (section?.sampleRatio !== undefined) return { ratio: section.sampleRatio, parentBased: true };
  const name = set(env, "OTEL_TRACES_SAMPLER")?.toLowerCase() ?? "parentbased_always_on";
  const parentBased = name.startsWith("parentbased_");
  switch (name.replace(/^parentbased_/, "")) {
    case "always_on":
      return { ratio: 1, parentBased };
    case "always_off":
      return { ratio: 0, parentBased };
    case "traceidratio": {
      const argument = set(env, "OTEL_TRACES_SAMPLER_ARG") ?? "1";
      const ratio = Number(argument);
      if (ratio >= 0 && ratio <= 1) return { ratio, parentBased };
      warnings.push("OTEL_TRACES_SAMPLER_ARG: is no number from 0 to 1: taken as 1");
      return { ratio: 1, parentBased };
    }
    default:
      warnings.push(`OTEL_TRACES_SAMPLER: ${name} is not known here: taken as parentbased_always_on`);
      return { ratio: 1, parentBased: true };
  }
}

function numberIn(env: Env, name: string, preset: number, warnings: string[]): number {
  const text = set(env, name);
  if (text === undefined) return preset;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  warnings.push(`${name}: is no whole number above 0: taken as ${preset}`);
  return preset;
}

function withPath(endpoint: string): string {
  return endpoint.endsWith("/") ? `${endpoint}${tracesPath}` : `${endpoint}/${tracesPath}`;
}

/** An empty variable counts as one that is not set. */
function set(env: Env, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === "" ? undefined : value;
}

function lower(text: string): string {
  return text.trim().toLowerCase();
}
