import type { Metric, Registry } from "prom-client";

/**
 * The number of one combination of labels. To count is to add to it; the registry reads it at a scrape.
 */
interface Cell {
  value: number;
}

/** A histogram for one combination of labels. */
interface Distribution {
  observe(value: number): void;
}

/** A metric's name, labels and meaning. */
export interface Shape {
  readonly name: string;
  /** One sentence, for the scrape and for docs/metrics.md. */
  readonly help: string;
  readonly labels: readonly string[];
}

/** The cells of one metric. `of` makes a cell at its first use, at zero; who counts often keeps what it returns. */
interface Series<T> {
  of(...labelValues: readonly string[]): T;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/**
 * A counter or a gauge that is kept as plain numbers. prom-client's own build a string of the labels and look it up, on
 * each call.
 */
export function createCells(registry: Registry, type: "counter" | "gauge", shape: Shape): Series<Cell> {
  const cells = seriesOf(shape, () => ({ value: 0 }));
  register(registry, type, shape, () => cells.all().map(({ labels, item }) => ({ labels, value: item.value })));
  return cells;
}

/** A gauge that is asked for its value at a scrape. A later source for the same labels replaces the one before. */
export function createAskedGauge(
  registry: Registry,
  shape: Shape,
): { ask(labelValues: readonly string[], value: () => number): void } {
  const asked = new Map<string, { readonly labels: Sample["labels"]; readonly value: () => number }>();
  register(registry, "gauge", shape, () =>
    [...asked.values()].map(({ labels, value }) => ({ labels, value: value() })),
  );
  return {
    ask: (labelValues, value) =>
      void asked.set(labelValues.join("\0"), { labels: labelsOf(shape, labelValues), value }),
  };
}

/** A histogram with these upper bounds, ascending. */
export function createDistributions(registry: Registry, shape: Shape, bounds: readonly number[]): Series<Distribution> {
  const all = seriesOf(shape, () => createDistribution(bounds));
  register(registry, "histogram", shape, () =>
    all.all().flatMap(({ labels, item }) => item.samples(shape.name, labels)),
  );
  return all;
}

function createDistribution(bounds: readonly number[]) {
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  return {
    observe(value: number) {
      let at = 0;
      while (at < bounds.length && value > (bounds[at] as number)) at += 1;
      counts[at] = (counts[at] as number) + 1;
      sum += value;
    },
    samples(name: string, labels: Sample["labels"]): Sample[] {
      let count = 0;
      const buckets = [...counts].map((own, at) => {
        count += own;
        return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[at] ?? "+Inf" }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    },
  };
}

function seriesOf<T>(shape: Shape, create: () => T) {
  const items = new Map<string, { readonly labels: Sample["labels"]; readonly item: T }>();
  return {
    of(...labelValues: readonly string[]): T {
      const key = labelValues.join("\0");
      const found = items.get(key) ?? { labels: labelsOf(shape, labelValues), item: create() };
      items.set(key, found);
      return found.item;
    },
    all: () => [...items.values()],
  };
}

function labelsOf({ labels }: Shape, values: readonly string[]): Sample["labels"] {
  return Object.fromEntries(labels.map((label, at) => [label, values[at] ?? ""]));
}

/**
 * Adds a metric to the registry, which calls `get` and reads the fields. The registry's types ask for prom-client's own
 * classes, but their values cannot be set from outside, and those of histograms not at all.
 */
function register(
  registry: Registry,
  type: "counter" | "gauge" | "histogram",
  { name, help, labels }: Shape,
  samples: () => readonly Sample[],
): void {
  const fields = { name, help, type, aggregator: "sum", labelNames: labels };
  registry.registerMetric({
    ...fields,
    get: async () => ({ ...fields, values: samples() }),
    reset() {},
  } as unknown as Metric);
}
