import { describe, expect, test } from "vitest";
import { tracingOf } from "../../src/config/otel-variables.ts";
import { load, problemsOf } from "./config-text.ts";

const endpoint = "https://collector.example.com:4318";
const url = `${endpoint}/v1/traces`;
const section = (telemetry: object) => load({ telemetry }).config.telemetry;

describe("telemetry", () => {
  test("is nothing without a section and without variables, and the section alone names no collector", () => {
    expect(tracingOf(undefined, {})).toEqual({ tracing: undefined, warnings: [] });
    expect(tracingOf(section({ sampleRatio: 0.5 }), {})).toEqual({ tracing: undefined, warnings: [] });
  });

  test("takes the variables for what the section leaves open", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: "100" };
    expect(tracingOf(section({ sampleRatio: 0.25, trustRequestHeader: true }), env)).toMatchObject({
      tracing: {
        url,
        sampling: { ratio: 0.25, parentBased: true },
        trustRequestHeader: true,
        batches: { delayMs: 100, maxWaiting: 2_048, maxSpans: 512 },
      },
      warnings: [],
    });
  });

  test.each([
    [{ otlp: { endpoint: "collector:4318" } }, /^telemetry\.otlp\.endpoint: must be an https/],
    [{ sampleRatio: 2 }, /^telemetry\.sampleRatio: /],
    [{ otlp: { protocol: "grpc" } }, /^telemetry\.otlp\.protocol: /],
  ])("refuses %j", (telemetry, problem) => {
    expect(problemsOf({ telemetry })).toEqual([expect.stringMatching(problem)]);
  });
});

describe("OpenTelemetry's variables", () => {
  test.each([
    [{}, { ratio: 1, parentBased: true }],
    [{ OTEL_TRACES_SAMPLER: "always_on" }, { ratio: 1, parentBased: false }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_always_off" }, { ratio: 0, parentBased: true }],
    [
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.1" },
      { ratio: 0.1, parentBased: false },
    ],
    [
      { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.1" },
      { ratio: 0.1, parentBased: true },
    ],
  ])("say by %j which traces begin here", (env, sampling) => {
    expect(tracingOf(section({ otlp: { endpoint } }), env)).toMatchObject({ tracing: { url, sampling }, warnings: [] });
  });

  test.each([
    [{ OTEL_TRACES_SAMPLER: "jaeger_remote" }, /^OTEL_TRACES_SAMPLER: jaeger_remote is not known here/],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "all" }, /^OTEL_TRACES_SAMPLER_ARG: /],
    [{ OTEL_BSP_MAX_QUEUE_SIZE: "-1" }, /^OTEL_BSP_MAX_QUEUE_SIZE: is no whole number above 0: taken as 2048$/],
  ])("that cannot be used are said, and left out: %j", (env, warning) => {
    const { tracing, warnings } = tracingOf(section({ otlp: { endpoint } }), env);
    expect([tracing?.url, warnings]).toEqual([url, [expect.stringMatching(warning)]]);
  });

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317" }, /^OTEL_EXPORTER_OTLP_ENDPOINT: is no http:/],
    [{ OTEL_TRACES_EXPORTER: "zipkin", OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, /^OTEL_TRACES_EXPORTER: zipkin is not/],
    [
      { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
      /^OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: grpc is not spoken here/,
    ],
  ])("that ask for what there is not trace nothing: %j", (env, warning) => {
    expect(tracingOf(undefined, env)).toEqual({ tracing: undefined, warnings: [expect.stringMatching(warning)] });
  });

  test.each([
    [{ OTEL_TRACES_EXPORTER: "otlp" }, "http://localhost:4318/v1/traces"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: `${endpoint}/` }, url],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/otlp`, OTEL_EXPORTER_OTLP_ENDPOINT: "x" }, `${endpoint}/otlp`],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }, url],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, undefined],
  ])("say by %j where to", (env, expected) => {
    expect(tracingOf(undefined, env)).toMatchObject({ warnings: [] });
    expect(tracingOf(undefined, env).tracing?.url).toBe(expected);
  });
});
