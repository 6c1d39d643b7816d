import { expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { type OtlpCollector, startOtlpCollector } from "../support/otlp-collector.ts";
import { resources } from "../support/resources.ts";
import { startServe } from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const config = {
  listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
  sessions: [{ opaque: { from: { header: "x-session" } } }],
  upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
  log: { level: "info", format: "json" },
};

/** Prints each module of OpenTelemetry that the process loads, but for its API: prom-client has that loaded anyway. */
const watchModules = `
  import { registerHooks } from "node:module";
  registerHooks({ load(url, context, next) {
    if (/@opentelemetry.(?!api)/.test(url)) process._rawDebug("loads " + url);
    return next(url, context);
  } });`;
const watched = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(watchModules)}` };

/** Runs \`serve\` with these variables, answers one Check, and stops it. */
async function run(env: Readonly<Record<string, string>>, more: object = {}) {
  const serve = await startServe(opened, { ...config, ...more }, env);
  const client = await use(createExtAuthzClient(serve.grpc));
  const headers = { "x-session": "0123456789abcdef0123456789abcdef" };
  const answer = await client.check(httpRequest({ headers, contextExtensions: { upstream: "crm" } }));
  expect(answer.denied_response?.status?.code).toBe("Unauthorized");
  await serve.child.stop();
  expect(await serve.child.exited).toMatchObject({ code: 0 });
  const warnings = serve.lines().filter(({ event, msg }) => event === "config" && /OTEL_/.test(String(msg)));
  return { output: serve.child.output(), warnings: warnings.map(({ msg }) => String(msg)) };
}

test("without a collector no module of OpenTelemetry's SDK is loaded", async () => {
  const { output } = await run(watched);
  expect(output).not.toMatch(/loads /);
});

test("OpenTelemetry's variables alone switch traces on, and what waits is exported before the process ends", async () => {
  const collector = await use(startOtlpCollector());
  const { output, warnings } = await run({
    ...watched,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=blue",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_SERVICE_NAME: "swap",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
  });
  expect([output.includes("loads "), warnings]).toEqual([true, []]);
  const span = collector.spans().find(({ kind }) => kind === "server");
  expect(span).toMatchObject({ service: "swap", kind: "server", parent: "" });
  expect(span?.attributes["bearerswap.outcome"]).toBe("grant_missing");
  expect(span?.resource).toMatchObject({ "deployment.environment.name": "test", "service.name": "swap" });
  expect(collector.requests[0]).toMatchObject({ "x-tenant": "blue", "content-encoding": "gzip" });
});

test.each<[what: string, env: (collector: OtlpCollector) => Readonly<Record<string, string>>, warning?: RegExp]>([
  ["OTEL_SDK_DISABLED=true", ({ url }) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: "true" })],
  ["OTEL_TRACES_EXPORTER=none", ({ url }) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_TRACES_EXPORTER: "none" })],
  [
    "OTEL_TRACES_SAMPLER=always_off",
    ({ url }) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_TRACES_SAMPLER: "always_off" }),
  ],
  [
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
    ({ url }) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }),
    /^OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not spoken here/,
  ],
])("with %s nothing is exported, and the service works", async (_, env, warning) => {
  const collector = await use(startOtlpCollector());
  const { warnings } = await run(env(collector));
  expect(collector.requests).toEqual([]);
  expect(warnings).toEqual(warning === undefined ? [] : [expect.stringMatching(warning)]);
});

test("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is, and the configuration's endpoint comes before both", async () => {
  const [own, common, configured] = await Promise.all([1, 2, 3].map(() => use(startOtlpCollector())));
  const env = {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${own?.url}/v1/traces`,
    OTEL_EXPORTER_OTLP_ENDPOINT: common?.url ?? "",
  };
  await run(env);
  await run(env, { telemetry: { otlp: { endpoint: configured?.url } } });
  expect([own, common, configured].map((collector) => collector?.requests.length)).toEqual([1, 0, 1]);
});
