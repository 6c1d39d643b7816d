import type { MetricShape } from "./shapes.ts";

interface Selected {
  /** Labels that the result is grouped by; one number without. */
  readonly by?: readonly string[];
  /** Labels with the values that are wanted. */
  readonly where?: Readonly<Record<string, readonly string[]>>;
  /** Whatever upstream is chosen, for what is counted without one. */
  readonly isOfNoUpstream?: boolean;
}

/** PromQL over metrics that exist. Each method throws where a metric, its type, a label or a label's value is gone. */
export interface Queries {
  /** A counter's events in a second. */
  rate(metric: string, selected?: Selected): string;
  /** A counter's events in a minute, for what is rare. */
  perMinute(metric: string, selected?: Selected): string;
  /** Which part of a counter's events these are, 0 to 1. 0 where there are none. */
  share(metric: string, part: Required<Pick<Selected, "where">> & Selected): string;
  /** Which part of two counters' events are the first one's, 0 to 1. */
  hits(hits: string, misses: string, selected?: Selected): string;
  /** How many values a histogram was given in a second. */
  observations(metric: string, selected?: Selected): string;
  /** The value that this part of a histogram's values stays below. */
  quantile(quantile: number, metric: string, selected?: Selected): string;
  /** A gauge's values, taken together over the instances. */
  gauge(over: "sum" | "avg" | "min" | "max" | "count", metric: string, selected?: Selected): string;
  /** Names of metrics that were asked for until now. */
  readonly used: ReadonlySet<string>;
}

/** Labels that Prometheus adds to whatever it scrapes. */
const targetLabels = ["job", "instance"];

export function createQueries(shapes: ReadonlyMap<string, MetricShape>): Queries {
  const used = new Set<string>();

  /** The series of a metric that the dashboard's variables and `where` leave. */
  function series(
    metric: string,
    type: string,
    { by = [], where = {}, isOfNoUpstream = false }: Selected,
    suffix = "",
  ): string {
    const shape = shapes.get(metric);
    if (shape?.type !== type) throw new Error(`there is no ${type} ${metric}`);
    const { labels } = shape;
    for (const label of by)
      if (!labels.has(label) && !targetLabels.includes(label)) throw new Error(`${metric} has no label ${label}`);
    const wanted = Object.entries(where).map(([label, values]) => {
      for (const value of values)
        if (!labels.get(label)?.has(value)) throw new Error(`${metric} has no series with ${label}="${value}"`);
      return values.length === 1 ? `${label}="${values[0]}"` : `${label}=~"${values.join("|")}"`;
    });
    used.add(metric);
    const variables = [...targetLabels, ...(labels.has("upstream") && !isOfNoUpstream ? ["upstream"] : [])];
    return `${metric}${suffix}{${[...variables.map((label) => `${label}=~"$${label}"`), ...wanted].join(", ")}}`;
  }

  const grouped = (over: string, by: readonly string[] = []) =>
    by.length === 0 ? over : `${over} by (${by.join(", ")})`;
  const rate = (metric: string, selected: Selected = {}) =>
    `${grouped("sum", selected.by)} (rate(${series(metric, "counter", selected)}[$__rate_interval]))`;

  return {
    used,
    rate,
    perMinute: (metric, selected) => `60 * ${rate(metric, selected)}`,
    share(metric, { by = [], where }) {
      const all = rate(metric, { by });
      return `${rate(metric, { by, where })} / (${all} > 0) or 0 * ${all}`;
    },
    hits: (hits, misses, selected) =>
      `${rate(hits, selected)} / (${rate(hits, selected)} + ${rate(misses, selected)} > 0)`,
    observations: (metric, selected = {}) =>
      `${grouped("sum", selected.by)} (rate(${series(metric, "histogram", selected, "_count")}[$__rate_interval]))`,
    quantile(quantile, metric, selected = {}) {
      const buckets = series(metric, "histogram", selected, "_bucket");
      const by = ["le", ...(selected.by ?? [])];
      return `histogram_quantile(${quantile}, ${grouped("sum", by)} (rate(${buckets}[$__rate_interval])))`;
    },
    gauge: (over, metric, selected = {}) => `${grouped(over, selected.by)} (${series(metric, "gauge", selected)})`,
  };
}
