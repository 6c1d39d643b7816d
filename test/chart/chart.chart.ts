import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { examplesOf } from "../envoy/examples.ts";
import { resources } from "../support/resources.ts";
import { chartDir, sidecarExample } from "./files.ts";
import { helm, kubeconform, template, valuesFiles } from "./helm.ts";
import { schemaLocation, writeSchemas } from "./kubernetes-schemas.ts";

const { onStop } = resources("file");
const rendered = join(import.meta.dirname, "rendered");
let dir: string;
let schemas: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "bearerswap-chart-"));
  onStop(() => rmSync(dir, { recursive: true }));
  schemas = schemaLocation(join(dir, "schemas"));
  await writeSchemas(join(dir, "schemas"));
});

describe.each([...valuesFiles])("with the values %s", (name, values) => {
  test("Helm finds nothing to complain of", async () => {
    const { code, stdout } = await helm("lint", "--strict", chartDir, "--values", values);
    expect([code, stdout]).toEqual([0, expect.stringContaining("1 chart(s) linted, 0 chart(s) failed")]);
  });

  test("what is rendered is what is stored: `npm run test:chart -- -u` stores it anew", async () => {
    const { stdout, stderr } = await template(chartDir, "--values", values);
    expect(stderr).toBe("");
    await expect(stdout).toMatchFileSnapshot(join(rendered, `${name}.yaml`));
  });

  test("Kubernetes and the gateways know every field of it", () => expectValid(join(rendered, `${name}.yaml`)));
});

describe("the chart with bearerswap as a sidecar", () => {
  test("is rendered as it is stored, with the packaged chart", async () => {
    const { stdout, stderr } = await template(await withDependency());
    expect(stderr).toBe("");
    await expect(stdout).toMatchFileSnapshot(join(rendered, "envoy-sidecar.yaml"));
  });

  test("Kubernetes knows every field of it", () => expectValid(join(rendered, "envoy-sidecar.yaml")));

  test("the container is not to be had without the mode", async () => {
    const otherwise = "bearerswap.mode=deployment,bearerswap.networkPolicy.enabled=false";
    const { code, stderr } = await template(await withDependency(), "--set", otherwise);
    expect([code, stderr]).toEqual([1, expect.stringContaining("need mode=sidecar")]);
  });

  /** A copy of the example, with bearerswap's chart packaged into it as `helm dependency build` does. */
  async function withDependency(): Promise<string> {
    const copy = join(dir, "charts/examples", basename(sidecarExample));
    if (existsSync(copy)) return copy;
    mkdirSync(join(dir, "charts/examples"), { recursive: true });
    cpSync(chartDir, join(dir, "charts/bearerswap"), { recursive: true });
    cpSync(sidecarExample, copy, { recursive: true });
    expect(await helm("dependency", "build", copy)).toMatchObject({ code: 0 });
    return copy;
  }
});

test("the manifests of envoy/ are valid too", async () => {
  const manifests = examplesOf("manifests").filter(({ name }) => name !== "istio/mesh-config.yaml");
  await expectValid(...manifests.map(({ path }) => path));
});

test("a field that nobody knows is found", async () => {
  const path = join(dir, "misspelt.yaml");
  const text = readFileSync(join(rendered, "envoy-gateway.yaml"), "utf8");
  writeFileSync(path, text.replace("statusOnError", "statusOnEror").replace("readOnlyRootFilesystem", "readOnlyRoot"));
  const { code, stdout } = await kubeconform(schemas, path);
  expect(code).toBe(1);
  expect(stdout).toContain("statusOnEror");
  expect(stdout).toContain("readOnlyRoot");
});

describe("values that would not work are refused before anything is changed", () => {
  test.each([
    ["memory", "replicas=2", "more than one replica needs a store that they share"],
    ["memory", "autoscaling.enabled=true", "more than one replica needs a store that they share"],
    ["memory", "networkPolicy.from=null", "say which pods are your Envoys"],
    ["memory", "image.repository=", "say where your image of bearerswap is"],
    ["existing-secret", "existingConfigSecret=", "sessions and upstreams are needed"],
    ["memory", "existingConfigMap=other", "say one of them"],
    ["memory", "valkey.enabled=true", "name a Secret with Valkey's password"],
    ["production", "valkey.enabled=true", "the chart says config.store itself"],
    ["existing-secret", "existingConfigMap=other", "say one of them"],
    ["sidecar", "istio.enabled=true", "need mode=deployment"],
    ["sidecar", "sidecar.podLabels=null", "say which labels your Envoy's pods have"],
    ["envoy-gateway", "envoyGateway.connect.hostname=", "say the host of connect.publicUrl"],
    ["memory", "config.upstreams.crm.clientSecrt=x", "'clientSecrt' not allowed"],
    ["memory", "config.listen.grpc=127.0.0.1:1", "'grpc' not allowed"],
    ["memory", "replcas=2", "'replcas' not allowed"],
  ])("%s with %s", async (name, set, message) => {
    const { code, stderr } = await template(chartDir, "--values", valuesFiles.get(name) ?? "", "--set", set);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });
});

test("a package holds the chart and none of its tests", async () => {
  const { code, stdout } = await helm("package", chartDir, "--destination", dir);
  expect(code).toBe(0);
  const path = stdout.trim().split(": ").at(-1) ?? "";
  const shown = await helm("show", "all", path);
  expect(shown.stdout).toContain("name: bearerswap");
  const values = ["--values", valuesFiles.get("envoy-gateway") ?? ""];
  expect((await template(path, ...values)).stdout).toBe((await template(chartDir, ...values)).stdout);
});

async function expectValid(...paths: readonly string[]): Promise<void> {
  const { stdout, stderr } = await kubeconform(schemas, ...paths);
  expect([stdout.trim(), stderr]).toEqual([
    expect.stringMatching(
      /^Summary: [1-9]\d* resources? found .* - Valid: [1-9]\d*, Invalid: 0, Errors: 0, Skipped: 0$/,
    ),
    "",
  ]);
}
