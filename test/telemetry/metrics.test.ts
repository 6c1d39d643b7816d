import { readFileSync } from "node:fs";
import { Histogram, Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { createMetrics, type Metrics } from "../../src/telemetry/prometheus.ts";
import { createDistributions } from "../../src/telemetry/series.ts";
import type { TokenEvent } from "../../src/tokens/metrics.ts";
import { metricRows, metricsPage, sampleMetrics } from "../prometheus/metrics-page.ts";
import { parsePrometheusText, scrapedValue } from "../support/prometheus-text.ts";

const names = { upstreamNames: ["crm", "wiki"], issuerNames: ["agents"] };
const create = () => createMetrics({ version: "1.2.3", ...names, ofProcess: false });

/** A scrape, read by name and labels. */
async function read(metrics: Metrics) {
  const scraped = parsePrometheusText(await metrics.scrape.text());
  return {
    scraped,
    value: (name: string, labels: Readonly<Record<string, string>> = {}) => scrapedValue(scraped, name, labels),
    /** What is not zero, as `name{values} value`. */
    counted: () =>
      [...scraped.values()]
        .filter(({ type, name }) => type === "counter" && name.startsWith("bearerswap_"))
        .flatMap(({ samples }) =>
          samples
            .filter(({ value }) => value !== 0)
            .map(({ name, labels, value }) => `${name} ${Object.values(labels)} ${value}`),
        ),
  };
}

describe("a scrape", () => {
  test("keeps the grammar, and has every bounded series from the start, at zero", async () => {
    const { value, counted } = await read(create());
    expect(counted()).toEqual([]);
    expect(value("bearerswap_build_info", { version: "1.2.3" })).toBe(1);
    for (const upstream of ["crm", "wiki"]) {
      expect(value("bearerswap_checks_total", { upstream, reason: "unavailable" })).toBe(0);
      expect(value("bearerswap_check_duration_seconds_count", { upstream })).toBe(0);
      expect(value("bearerswap_refreshes_total", { upstream, ending: "misconfigured", trigger: "ahead" })).toBe(0);
      expect(value("bearerswap_commit_retries_total", { upstream })).toBe(0);
      expect(value("bearerswap_breaker_state", { upstream, state: "open" })).toBe(0);
    }
    expect(value("bearerswap_jwks_fetches_total", { source: "agents", result: "failed" })).toBe(0);
    expect(value("bearerswap_store_up")).toBe(0);
  });

  test("has the figures of the process, event-loop lag among them", async () => {
    const { value, scraped } = await read(sampleMetrics());
    expect(value("nodejs_eventloop_lag_p99_seconds")).toBeGreaterThanOrEqual(0);
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(0);
    expect(scraped.get("process_cpu_seconds_total")?.type).toBe("counter");
  });

  test("of one service shows nothing of another in the same process", async () => {
    const [one, other] = [create(), create()];
    one.checks.answered("crm", "allowed", 1);
    expect((await read(one)).counted()).toEqual(["bearerswap_checks_total crm,allowed 1"]);
    expect((await read(other)).counted()).toEqual([]);
  });
});

describe("checks", () => {
  test("are counted by upstream and reason, with their latency", async () => {
    const metrics = create();
    metrics.checks.answered("crm", "allowed", 0.2);
    metrics.checks.answered("crm", "allowed", 30);
    metrics.checks.answered("wiki", "grant_refused", 2);
    metrics.checks.answered(undefined, "bad_request", 1);
    metrics.checks.answered(undefined, "unavailable", 1);
    const { value, counted } = await read(metrics);
    expect(counted()).toEqual([
      "bearerswap_checks_total crm,allowed 2",
      "bearerswap_checks_total wiki,grant_refused 1",
      "bearerswap_checks_total ,unavailable 1",
      "bearerswap_checks_total ,bad_request 1",
    ]);
    const crm = (le: string) => value("bearerswap_check_duration_seconds_bucket", { upstream: "crm", le });
    expect(["0.0001", "0.00025", "0.025", "0.05", "+Inf"].map(crm)).toEqual([0, 1, 1, 2, 2]);
    expect(value("bearerswap_check_duration_seconds_sum", { upstream: "crm" })).toBeCloseTo(0.0302);
  });

  test("of an upstream that is not configured make no series: a name from outside never becomes a label", async () => {
    const metrics = create();
    metrics.checks.answered("x-client", "allowed", 1);
    metrics.tokens.count("dead", "x-client");
    metrics.tokens.refreshed("x-client", "refused", "expired", 1);
    metrics.tokens.flights("x-client", 1);
    metrics.tokens.breaker("x-client", "open");
    expect(await metrics.scrape.text()).not.toContain("x-client");
  });
});

describe("refreshes", () => {
  test("are counted by upstream, ending and trigger, with their latency", async () => {
    const metrics = create();
    metrics.tokens.refreshed("crm", "refreshed", "ahead", 300);
    metrics.tokens.refreshed("crm", "misconfigured", "expired", 40);
    const { value, counted } = await read(metrics);
    expect(counted()).toEqual([
      "bearerswap_refreshes_total crm,refreshed,ahead 1",
      "bearerswap_refreshes_total crm,misconfigured,expired 1",
    ]);
    expect(value("bearerswap_refresh_duration_seconds_sum", { upstream: "crm" })).toBeCloseTo(0.34);
  });

  test("show flights and waiters while there are any", async () => {
    const metrics = create();
    for (const change of [1, 1, -1] as const) metrics.tokens.flights("crm", change);
    for (const change of [1, 1, 1, -1] as const) metrics.tokens.waiters("crm", change);
    const { value } = await read(metrics);
    expect([
      value("bearerswap_flights", { upstream: "crm" }),
      value("bearerswap_waiters", { upstream: "crm" }),
    ]).toEqual([1, 2]);
  });

  test("show the one state that the breaker is in", async () => {
    const metrics = create();
    const states = async () => {
      const { value } = await read(metrics);
      return ["closed", "open", "half_open"].map((state) =>
        value("bearerswap_breaker_state", { upstream: "crm", state }),
      );
    };
    expect(await states()).toEqual([1, 0, 0]);
    metrics.tokens.breaker("crm", "open");
    expect(await states()).toEqual([0, 1, 0]);
    metrics.tokens.breaker("crm", "half_open");
    expect(await states()).toEqual([0, 0, 1]);
  });

  test.each<[TokenEvent, string]>([
    ["lease_busy", "bearerswap_lease_busy_total"],
    ["lease_lost", "bearerswap_leases_lost_total"],
    ["adopted", "bearerswap_tokens_adopted_total"],
    ["commit_retry", "bearerswap_commit_retries_total"],
    ["recommit", "bearerswap_recommits_total"],
    ["presented_again", "bearerswap_repeated_presentations_total"],
    ["dead", "bearerswap_dead_grants_total"],
    ["back_off", "bearerswap_back_offs_total"],
    ["not_dispatched", "bearerswap_not_dispatched_total"],
    ["cache_hit", "bearerswap_token_cache_hits_total"],
    ["cache_miss", "bearerswap_token_cache_misses_total"],
    ["invalidated", "bearerswap_token_cache_invalidations_total"],
    ["stale_served", "bearerswap_stale_served_total"],
    ["unexpected_rotation", "bearerswap_unexpected_rotations_total"],
  ])("count %s in %s alone", async (event, name) => {
    const metrics = create();
    metrics.tokens.count(event, "crm");
    metrics.tokens.count(event, "crm");
    expect((await read(metrics)).counted()).toEqual([`${name} crm 2`]);
  });
});

describe("the store", () => {
  test("is up or not, and its commands are timed and their errors told apart", async () => {
    const metrics = create();
    metrics.store.up(true);
    metrics.store.command("read", 2, undefined);
    metrics.store.command("read", 2_000, "TRYAGAIN");
    const { value, counted } = await read(metrics);
    expect(value("bearerswap_store_up")).toBe(1);
    expect(value("bearerswap_store_command_duration_seconds_count", { command: "read" })).toBe(2);
    expect(counted()).toEqual(["bearerswap_store_errors_total read,TRYAGAIN 1"]);
    metrics.store.up(false);
    expect((await read(metrics)).value("bearerswap_store_up")).toBe(0);
  });

  test("cannot make labels without end, or of whole sentences: they are counted as other", async () => {
    const metrics = create();
    metrics.store.command("read", 1, "ERR unknown command 'AUTH', with args beginning with: 'secret'");
    for (let n = 0; n < 1_000; n += 1) metrics.store.command(`command${n}`, 1, `CODE${n}`);
    const { scraped, value } = await read(metrics);
    expect(await metrics.scrape.text()).not.toContain("secret");
    expect(value("bearerswap_store_errors_total", { command: "read", code: "other" })).toBe(1);
    expect(scraped.get("bearerswap_store_errors_total")?.samples.length).toBeLessThan(60);
    expect(value("bearerswap_store_errors_total", { command: "other", code: "other" })).toBeGreaterThan(900);
  });
});

test("a histogram is the one that prom-client would make of the same values", async () => {
  const shape = { name: "x_seconds", help: "x", labels: ["kind"] };
  const bounds = [0.1, 1, 2.5];
  const [ours, theirs] = [new Registry(), new Registry()];
  const distributions = createDistributions(ours, shape, bounds);
  const histogram = new Histogram({
    name: shape.name,
    help: shape.help,
    labelNames: shape.labels,
    buckets: bounds,
    registers: [theirs],
  });
  for (const value of [0, 0.05, 0.1, 0.11, 1, 2.5, 2.500001, 1e9])
    for (const kind of ["a", 'b"\n\\']) {
      distributions.of(kind).observe(value);
      histogram.observe({ kind }, value);
    }
  const series = async (registry: Registry) =>
    [...parsePrometheusText(await registry.metrics()).values()].map(({ samples, ...rest }) => ({ ...rest, samples }));
  expect(await series(ours)).toEqual(await series(theirs));
});

test("names have the prefix, base units, and _total on counters alone", () => {
  for (const { name, type } of metricRows(create())) {
    expect(name).toMatch(/^bearerswap_[a-z_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(/(?<!_timestamp)_seconds$/.test(name), name).toBe(type === "histogram");
  }
});

test("docs/metrics.md lists what there is: run `npm run generate` after a change", () => {
  expect(readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8")).toBe(metricsPage());
});
