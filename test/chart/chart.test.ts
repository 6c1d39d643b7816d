import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import packageJson from "../../package.json" with { type: "json" };
import { at, example, type Tree } from "../envoy/examples.ts";
import { wheels } from "../support/wheels.ts";
import { chartDir, chartFiles, chartsDir, sidecarExample } from "./files.ts";
import { rendered } from "./rendered.ts";

const read = (path: string) => readFileSync(path, "utf8");
const yamlAt = (path: string) => parse(read(path)) as Tree;
const schema = z.fromJSONSchema(JSON.parse(read(join(chartDir, "values.schema.json"))));
const valuesFiles = readdirSync(join(chartDir, "ci"));

test("the charts have the version of package.json", () => {
  const { version } = packageJson;
  expect(yamlAt(join(chartDir, "Chart.yaml"))).toMatchObject({ version, appVersion: version });
  expect(yamlAt(join(sidecarExample, "Chart.yaml"))).toMatchObject({ version, dependencies: [{ version }] });
});

test.each(Object.entries(chartFiles()))("%s is what it is written from: `npm run generate`", (name, text) => {
  expect(read(join(chartsDir, name))).toBe(text);
});

const valuesOf: Readonly<Record<string, Tree>> = {
  "values.yaml": yamlAt(join(chartDir, "values.yaml")),
  "the sidecar example": at<Tree>(yamlAt(join(sidecarExample, "values.yaml")), "bearerswap"),
  ...Object.fromEntries(valuesFiles.map((file) => [file, yamlAt(join(chartDir, "ci", file))])),
};

test.each(Object.entries(valuesOf))("values.schema.json takes %s", (_, values) => {
  expect(schema.safeParse(values).error).toBeUndefined();
});

test("values.schema.json knows every value, and the configuration's keys but for those that are the chart's", () => {
  const known = Object.keys(at<Tree>(JSON.parse(read(join(chartDir, "values.schema.json"))), "properties"));
  expect(known.sort()).toEqual([...Object.keys(yamlAt(join(chartDir, "values.yaml"))), "global"].sort());
  for (const wrong of [
    { replcas: 1 },
    { config: { upstreams: { crm: { clientSecrt: "x" } } } },
    { config: { listen: { grpc: "127.0.0.1:1" } } },
    { config: { shutdown: { timeout: "1s" } } },
    { mode: "daemonset" },
  ])
    expect(schema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
});

test("the images are of the versions that the tests run", () => {
  const [major, minor] = wheels.envoy.version.split(".");
  expect(valuesOf["values.yaml"]).toMatchObject({
    valkey: { image: `valkey/valkey:${wheels.valkey.version.split(".")[0]}` },
  });
  expect(yamlAt(join(sidecarExample, "values.yaml")).image).toBe(`envoyproxy/envoy:v${major}.${minor}-latest`);
});

test("each file of values has a stored output", () => {
  const names = valuesFiles.map((file) => file.replace(/-values\.yaml$/, ""));
  expect([...rendered.keys()].sort()).toEqual([...names, "envoy-sidecar"].sort());
});

test("what `helm install` says of Istio's mesh configuration is what envoy/istio/ has", () => {
  const values: Readonly<Record<string, string>> = {
    ".Values.istio.provider": "bearerswap",
    'include "bearerswap.serviceHost" .': "bearerswap.bearerswap.svc.cluster.local",
    ".Values.ports.grpc": "9191",
    ".Values.istio.timeout": String(at(yamlAt(join(chartDir, "values.yaml")), "istio.timeout")),
  };
  const [, block = ""] =
    /\n( {2}pathNormalization:.*?)\{\{- end/s.exec(read(join(chartDir, "templates/NOTES.txt"))) ?? [];
  const filled = block.replaceAll(/\{\{ (.*?) \}\}/g, (_all, name: string) => values[name] ?? `no ${name}`);
  expect(parse(filled)).toEqual(at(example("istio/mesh-config.yaml").documents[0], "spec.meshConfig"));
});
