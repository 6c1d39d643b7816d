import { expect, test } from "vitest";
import { createCertificateAuthority } from "../support/certificates.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;
/** Spans leave at once. */
const env = { OTEL_BSP_SCHEDULE_DELAY: "10" };

async function world(otlp: object, more: Readonly<Record<string, string>> = {}) {
  const scenario = await startScenario(opened, { config: { telemetry: { otlp } }, env: { ...env, ...more } });
  await scenario.login();
  const check = async () => (await scenario.check(bearer())).status;
  const spans = async (result: string) =>
    (await scrape(scenario.service.listening)).value("bearerswap_trace_spans_total", { result });
  return { ...scenario, check, spans };
}

test("a collector that refuses costs spans and no answer; the log says it once, and once that it is over", async () => {
  const collector = await use(startOtlpCollector());
  const { check, spans, service } = await world({ endpoint: collector.url });
  collector.fail(401);
  for (let failed = 0; failed < 3; ) {
    expect(await check()).toBe(200);
    failed = await until("a failed export", async () => {
      const count = (await spans("failed")) ?? 0;
      return count > failed && count;
    });
  }
  expect(service.events("traces_not_exported")).toMatchObject([
    { level: "warn", url: `${collector.url}/v1/traces`, reason: "HTTP 401" },
  ]);
  collector.fail(undefined);
  expect(await check()).toBe(200);
  await until("the line that it is over", () => service.events("traces_exported").length > 0);
  expect(await check()).toBe(200);
  await until("another export", async () => ((await spans("exported")) ?? 0) >= 2);
  expect([service.events("traces_not_exported").length, service.events("traces_exported").length]).toEqual([1, 1]);
});

test("a collector that hangs keeps no answer back, a bounded number of spans waits for it, and no stop is late", async () => {
  const collector = await use(startOtlpCollector());
  collector.fail("hang");
  const batches = { OTEL_BSP_MAX_QUEUE_SIZE: "20", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10" };
  const { check, spans, service } = await world({ endpoint: collector.url }, batches);
  expect(await check()).toBe(200);
  await until("an export that hangs", () => collector.requests.length > 0);
  for (let checks = 0; checks < 60; checks++) expect(await check()).toBe(200);
  expect(await spans("dropped")).toBeGreaterThanOrEqual(30);
  const from = performance.now();
  await service.stop();
  expect(performance.now() - from).toBeLessThan(10_000);
});

test("a collector whose certificate is not trusted gets nothing, and with its authority all of it", async () => {
  const authority = await use(createCertificateAuthority());
  const collector = await use(startOtlpCollector({ tls: await authority.server() }));
  const wrong = await world({ endpoint: collector.url });
  expect(await wrong.check()).toBe(200);
  const [line] = await until("the line about it", () => {
    const lines = wrong.service.events("traces_not_exported");
    return lines.length > 0 && lines;
  });
  expect(line?.reason).toMatch(/CERT|SELF_SIGNED|UNABLE/);
  expect(collector.spans()).toEqual([]);
  const right = await world({ endpoint: collector.url, ca: authority.certPath });
  expect(await right.check()).toBe(200);
  await collector.span("the Check", ({ kind }) => kind === "server");
});

test("exports carry the configured headers, and what waits at a stop is exported", async () => {
  const collector = await use(startOtlpCollector());
  const otlp = { endpoint: `${collector.url}/`, headers: { "X-Api-Key": "${env:KEY}" }, serviceName: "swap-eu" };
  const { check, service } = await world(otlp, { KEY: "collector-key", OTEL_BSP_SCHEDULE_DELAY: "600000" });
  expect(await check()).toBe(200);
  expect(collector.requests).toEqual([]);
  await service.stop();
  expect(collector.requests.map((headers) => headers["x-api-key"])).toEqual(["collector-key"]);
  expect(collector.spans().map(({ service: name }) => name)).toContain("swap-eu");
  expect(service.log()).not.toContain("collector-key");
});
