import { sampleMetrics } from "../prometheus/metrics-page.ts";

/** What a query has to know of a metric. */
export interface MetricShape {
  readonly type: string;
  /** Each label with the values that a service's series have from the start. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Every metric of a service by its name, as src/telemetry defines it; prom-client's of the process included. */
export async function readShapes(): Promise<ReadonlyMap<string, MetricShape>> {
  const { registry } = sampleMetrics();
  const samples = new Map((await registry.getMetricsAsJSON()).map(({ name, values }) => [name, values]));
  const all = registry.getMetricsAsArray() as unknown as {
    name: string;
    type: string;
    labelNames: readonly string[];
  }[];
  return new Map(
    all.map(({ name, type, labelNames }) => {
      const valuesOf = (label: string) => (samples.get(name) ?? []).map(({ labels }) => String(labels[label] ?? ""));
      return [name, { type, labels: new Map(labelNames.map((label) => [label, new Set(valuesOf(label))])) }];
    }),
  );
}
