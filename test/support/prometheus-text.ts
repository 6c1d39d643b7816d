/** One line of a scrape. */
export interface ScrapedSample {
  /** With the suffix, where it is part of a histogram. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with its samples. */
export interface ScrapedMetric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ScrapedSample[];
}

const name = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const helpLine = new RegExp(`^# HELP (${name}) (.+)$`);
const typeLine = new RegExp(`^# TYPE (${name}) (counter|gauge|histogram|summary|untyped)$`);
const label = `[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"`;
const sampleLine = new RegExp(
  `^(${name})(?:\\{(${label}(?:,${label})*)?\\})? ([+-]?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|Inf)|NaN)$`,
  "i",
);

/**
 * Reads the Prometheus text format 0.0.4 and is strict about it: each metric once, HELP and TYPE before its samples and
 * nothing between them, no series twice, and of a histogram cumulative buckets that end at the count. Throws with the
 * line that is wrong.
 */
export function parsePrometheusText(text: string): ReadonlyMap<string, ScrapedMetric> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const metrics = new Map<string, ScrapedMetric & { samples: ScrapedSample[] }>();
  const seen = new Set<string>();
  let current: (ScrapedMetric & { samples: ScrapedSample[] }) | undefined;
  let help: string | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, helped, words] = helpLine.exec(line) ?? [];
    const [, typed, type = ""] = typeLine.exec(line) ?? [];
    const sample = sampleOf(line);
    if (helped !== undefined) help = `${helped} ${words}`;
    else if (typed !== undefined) {
      if (metrics.has(typed) || !help?.startsWith(`${typed} `))
        throw new Error(`a metric twice, or without HELP: ${line}`);
      current = { name: typed, type, help: help.slice(typed.length + 1), samples: [] };
      metrics.set(typed, current);
    } else if (sample !== undefined && current !== undefined && belongs(sample, current)) {
      const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(series)) throw new Error(`a series twice: ${line}`);
      seen.add(series);
      current.samples.push(sample);
    } else throw new Error(`no line of the Prometheus text format, or not here: ${line}`);
  }
  for (const metric of metrics.values()) if (metric.type === "histogram") checkHistogram(metric);
  return metrics;
}

function sampleOf(line: string): ScrapedSample | undefined {
  const [, sampleName, labels = "", value = ""] = sampleLine.exec(line) ?? [];
  if (sampleName === undefined) return undefined;
  const pairs = [...labels.matchAll(new RegExp(label, "g"))].map(
    ([pair]) => [pair.slice(0, pair.indexOf("=")), unescaped(pair)] as const,
  );
  return { name: sampleName, labels: Object.fromEntries(pairs), value: Number(value.replace(/inf/i, "Infinity")) };
}

function unescaped(pair: string): string {
  return pair
    .slice(pair.indexOf("=") + 2, -1)
    .replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

function belongs(sample: ScrapedSample, metric: ScrapedMetric): boolean {
  return (
    sample.name === metric.name ||
    (metric.type === "histogram" && ["_bucket", "_sum", "_count"].some((end) => sample.name === metric.name + end))
  );
}

function checkHistogram({ name: metric, samples }: ScrapedMetric): void {
  let last = { bound: Number.NEGATIVE_INFINITY, count: 0 };
  for (const { name: sampleName, labels, value } of samples) {
    if (sampleName === `${metric}_bucket`) {
      const bound = Number(labels.le?.replace("+Inf", "Infinity"));
      if (bound <= last.bound || value < last.count)
        throw new Error(`${metric}: buckets out of order at le=${labels.le}`);
      last = { bound, count: value };
    } else if (sampleName === `${metric}_count`) {
      if (last.bound !== Number.POSITIVE_INFINITY || last.count !== value)
        throw new Error(`${metric}: the last bucket is not the count`);
      last = { bound: Number.NEGATIVE_INFINITY, count: 0 };
    }
  }
}

/** The value of one series; undefined where it is not there. Labels must be the same, no more and no fewer. */
export function scrapedValue(
  metrics: ReadonlyMap<string, ScrapedMetric>,
  sampleName: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const metric = metrics.get(sampleName) ?? metrics.get(sampleName.replace(/_(?:bucket|sum|count)$/, ""));
  const wanted = JSON.stringify(Object.entries(labels).sort());
  return metric?.samples.find(
    (sample) => sample.name === sampleName && JSON.stringify(Object.entries(sample.labels).sort()) === wanted,
  )?.value;
}
