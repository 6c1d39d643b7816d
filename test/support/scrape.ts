import { expect } from "vitest";
import type { Listening } from "../../src/server/listen.ts";
import { get } from "./http-client.ts";
import { parsePrometheusText, type ScrapedMetric, scrapedValue } from "./prometheus-text.ts";

/** What a Prometheus server reads of a service now. */
export async function scrape({ http }: Listening) {
  const { status, headers, body } = await get(http?.kind === "tcp" ? http.port : 0, "/metrics");
  expect([status, headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  const metrics: ReadonlyMap<string, ScrapedMetric> = parsePrometheusText(body);
  return {
    body,
    value: (name: string, labels: Readonly<Record<string, string>> = {}) => scrapedValue(metrics, name, labels),
  };
}
