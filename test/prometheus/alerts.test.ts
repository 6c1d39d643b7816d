import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { at, examplesOf } from "../envoy/examples.ts";
import { parsePrometheusText, type ScrapedMetric } from "../support/prometheus-text.ts";
import { readExpression } from "./expressions.ts";
import { sampleMetrics } from "./metrics-page.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, "../..");
const rules = examplesOf("alerts").flatMap(({ documents }) =>
  at<{ rules: Rule[] }[]>(documents[0], "groups").flatMap((group) => group.rules),
);
const named = rules.map((rule) => [rule.alert, rule] as const);
/** Added by Prometheus to whatever it scrapes. */
const targetLabels = ["job", "instance"];
const expressions = rules.map(({ alert, expr }) => [alert, readExpression(expr)] as const);

let metrics: ReadonlyMap<string, ScrapedMetric>;
beforeAll(async () => {
  metrics = parsePrometheusText(await sampleMetrics().scrape.text());
});

/** The samples of a name in an expression: a metric's, or one of the series that a histogram consists of. */
function samplesOf(name: string) {
  const base = name.replace(/_(?:bucket|sum|count)$/, "");
  return (metrics.get(name) ?? metrics.get(base))?.samples.filter((sample) => sample.name === name) ?? [];
}

test("there is an alert for each thing that somebody has to know", () => {
  expect(rules.map(({ alert, labels }) => `${alert} ${labels.severity}`)).toEqual([
    "BearerswapDown page",
    "BearerswapStoreDown page",
    "BearerswapCommitRetries page",
    "BearerswapClientMisconfigured page",
    "BearerswapChecksUnavailable page",
    "BearerswapRefreshesFailing warning",
    "BearerswapBreakerOpen warning",
    "BearerswapDeadGrants warning",
    "BearerswapGrantsFailing warning",
    "BearerswapLoginsFailing warning",
    "BearerswapRegistrationsFailing warning",
    "BearerswapRevocationsUnconfirmed warning",
    "BearerswapRejectionsHeld warning",
    "BearerswapLeaseLost warning",
    "BearerswapRepeatedPresentations warning",
    "BearerswapUnexpectedRotation warning",
    "BearerswapChecksSlow warning",
    "BearerswapConfigReloadFailed warning",
    "BearerswapEventLoopLag warning",
  ]);
});

describe.each(expressions)("%s", (_, { selectors, groupings }) => {
  test("names metrics that a service has, with series that its matchers find", () => {
    expect(selectors.length).toBeGreaterThan(0);
    for (const { metric, matchers } of selectors) {
      const samples = samplesOf(metric);
      expect(samples.length, metric).toBeGreaterThan(0);
      for (const { label, values } of matchers)
        expect(samples.map(({ labels }) => labels[label])).toEqual(expect.arrayContaining([...values]));
    }
  });

  test("groups by labels that all of them have", () => {
    for (const { metric } of selectors)
      for (const label of groupings.filter((candidate) => !targetLabels.includes(candidate)))
        expect(Object.keys(samplesOf(metric)[0]?.labels ?? {}), metric).toContain(label);
  });
});

describe.each(named)("%s", (_, { expr, for: duration, annotations, alert }) => {
  test("waits before it fires, and says what is wrong in words of labels that it has", () => {
    expect(duration).toMatch(/^[1-9]\d*m$/);
    expect(Object.keys(annotations)).toEqual(["summary", "description", "runbook"]);
    const used = [
      ...Object.values(annotations)
        .join(" ")
        .matchAll(/\$labels\.(\w+)/g),
    ].map(([, label = ""]) => label);
    const { selectors, groupings } = readExpression(expr);
    const kept = expr.includes(" by (")
      ? groupings
      : [...targetLabels, ...selectors.flatMap(({ metric }) => Object.keys(samplesOf(metric)[0]?.labels ?? {}))];
    expect(kept).toEqual(expect.arrayContaining(used));
  });

  test("has its place in docs/operations.md, which says what to do", () => {
    const page = readFileSync(join(root, "docs/operations.md"), "utf8");
    const alerts = page.slice(page.indexOf("\n## Alerts\n")).split(/\n## (?!Alerts)/)[0] ?? "";
    const headings = [...alerts.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).toContain(alert);
    expect(annotations.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`);
  });

  test("is proved by promtool's unit tests to fire, and to keep still", () => {
    const { tests } = parse(readFileSync(join(import.meta.dirname, "alerts.test.yaml"), "utf8")) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const cases = tests
      .flatMap(({ alert_rule_test }) => alert_rule_test)
      .filter(({ alertname }) => alertname === alert);
    expect(new Set(cases.map(({ exp_alerts }) => exp_alerts.length > 0))).toEqual(new Set([true, false]));
  });
});

test("the series that promtool's unit tests are fed are those of a service", () => {
  const { tests } = parse(readFileSync(join(import.meta.dirname, "alerts.test.yaml"), "utf8")) as {
    tests: { input_series: { series: string }[] }[];
  };
  for (const { series } of tests.flatMap(({ input_series }) => input_series)) {
    const [{ metric = "", matchers = [] } = {}] = readExpression(series).selectors;
    const own = Object.keys(samplesOf(metric)[0]?.labels ?? {});
    expect(samplesOf(metric).length, series).toBeGreaterThan(0);
    for (const { label } of matchers) expect([...own, ...targetLabels], series).toContain(label);
  }
});
