import type { TracingConfig } from "../platform/tracing-config.ts";
import type { CreateTracing } from "./tracing.ts";

/** Loads what traces need, and only where there are any: the packages of OpenTelemetry take memory and time. */
export async function loadTracing(config: TracingConfig | undefined): Promise<CreateTracing | undefined> {
  if (config === undefined) return undefined;
  const { createTracing } = await import("./otel-tracing.ts");
  return (deps) => createTracing({ ...deps, config });
}
