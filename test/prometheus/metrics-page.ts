import { createMetrics, type Metrics } from "../../src/telemetry/prometheus.ts";

/** A registry as a service with one upstream and one issuer has it. */
export function sampleMetrics(): Metrics {
  const names = { upstreamNames: ["crm"], issuerNames: ["agents"] };
  const metrics = createMetrics({ version: "0.0.0", ...names, ofProcess: true });
  metrics.sizes.tokens({ held: () => 0, failing: () => 0 });
  metrics.sizes.sessions(new Map([["agents", () => 0]]));
  return metrics;
}

interface MetricRow {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every metric there is. */
export function metricRows({ registry }: Pick<Metrics, "registry">): readonly MetricRow[] {
  const all = registry.getMetricsAsArray() as unknown as {
    name: string;
    type: string;
    labelNames: readonly string[];
    help: string;
  }[];
  return all.map(({ name, type, labelNames, help }) => ({ name, type, labels: labelNames, help }));
}

/** docs/metrics.md. The figures of any Node process are not listed: which there are depends on the platform. */
export function metricsPage(): string {
  const ours = metricRows(sampleMetrics()).filter(({ name }) => name.startsWith("bearerswap_"));
  const lines = ours.map(({ name, type, labels, help }) => {
    const cells = [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), help.replaceAll("|", "\\|")];
    return `| ${cells.join(" | ")} |`.replaceAll("|  |", "| |");
  });
  return `${head}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n${lines.join("\n")}\n`;
}

const head = `# Metrics

\`/metrics\` on \`listen.http\`, in the Prometheus text format. This page is written by \`npm run generate\`.

Labels are names from the configuration (\`upstream\`, \`source\`) and words of the program; nothing that a client sends
becomes one. All series of an upstream exist from the start, at zero. Caches, flights and breakers are each process's
own: sum over the instances, or look at one.

Beside these there are the figures that [prom-client](https://github.com/siimon/prom-client) takes of any Node process,
\`process_…\` and \`nodejs_…\`, such as \`nodejs_eventloop_lag_p99_seconds\` and \`process_resident_memory_bytes\`.
[Alert rules](../envoy/prometheus/bearerswap-alerts.yaml) are ready to copy; [operations.md](operations.md#alerts) says
what to do about each. [Dashboards](operations.md#metrics) for Grafana show all of them.`;
