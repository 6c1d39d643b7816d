import { metricsPage, sampleMetrics } from "./metrics-page.ts";

/**
 * `page` prints docs/metrics.md, `scrape` what a Prometheus server would read, `scrape ours` without the figures of any
 * Node process.
 */
const [what, which] = process.argv.slice(2);
const scrape = async () => {
  const whole = await sampleMetrics().scrape.text();
  return which === "ours"
    ? `${whole
        .split("\n\n")
        .filter((metric) => metric.startsWith("# HELP bearerswap_"))
        .join("\n\n")}\n`
    : whole;
};
process.stdout.write(what === "page" ? metricsPage() : await scrape());
