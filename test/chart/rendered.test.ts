import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { type LoadedConfig, parseConfig } from "../../src/config/load.ts";
import { runHere } from "../commands/cli-process.ts";
import { at, example, examplesOf, findAll, type Tree } from "../envoy/examples.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { resources } from "../support/resources.ts";
import { configText, type Manifest, only, podOf, rendered, renderedWith } from "./rendered.ts";

const { use, onStop } = resources("file");
const outputs = [...rendered];
let dir: string;
let files: ReadonlyMap<RegExp, string>;
beforeAll(async () => {
  const authority = await use(createCertificateAuthority());
  const { certPath, keyPath } = await authority.server();
  dir = mkdtempSync(join(tmpdir(), "bearerswap-rendered-"));
  onStop(() => rmSync(dir, { recursive: true }));
  files = new Map([
    [/\/etc\/bearerswap-tls\/tls\.crt/g, certPath],
    [/\/etc\/bearerswap-tls\/tls\.key/g, keyPath],
    [/\/etc\/bearerswap-tls\/ca\.crt/g, authority.certPath],
    // As the volume of `secretName` has them.
    [/\/run\/secrets\/bearerswap(?=\/)/g, dir],
  ]);
  for (const name of ["crm-client-secret", "store-password"]) writeFileSync(join(dir, name), "secret");
  writeFileSync(join(dir, "k1.key"), Buffer.alloc(32, 1).toString("base64"));
});

describe.each(outputs.filter(([, manifests]) => configText(manifests) !== undefined))("%s", (_, manifests) => {
  const text = () =>
    [...files].reduce((config, [from, to]) => config.replaceAll(from, to), configText(manifests) ?? "");

  test("`bearerswap check` takes the configuration", async () => {
    const file = join(dir, "bearerswap.yaml");
    writeFileSync(file, text());
    const { code, stdout, stderr } = await runHere(["check", "--config", file], { env: environmentOf(manifests) });
    expect([code, stdout, stderr.replaceAll(/^warning: .*\n/gm, "")]).toEqual([0, `${file}: ok\n`, ""]);
  });

  test("its addresses are the container's ports, and its shutdown has the time that the pod gives", () => {
    const { config } = loaded(text(), manifests);
    const { grpc, http } = config.listen;
    const pod = podOf(manifests);
    if (pod === undefined) return expect(grpc).toMatchObject({ kind: "unix", path: "/run/bearerswap/check.sock" });
    const ports = Object.entries({ grpc, http }).flatMap(([name, address]) =>
      address?.kind === "tcp" ? [{ name, containerPort: address.port }] : [],
    );
    const named = at<{ name: string; containerPort: number }[]>(pod.container, "ports").map(
      ({ name, containerPort }) => ({ name: name.replace("bearerswap-", ""), containerPort }),
    );
    expect(named).toEqual(ports);
    const pauses = findAll<{ seconds: number }>(pod.spec, "sleep").map(({ seconds }) => seconds);
    expect(pauses).toHaveLength(1);
    const neededMs = (pauses[0] ?? 0) * 1_000 + config.shutdown.timeoutMs;
    expect(at<number>(pod.spec, "terminationGracePeriodSeconds") * 1_000).toBeGreaterThan(neededMs);
  });
});

describe.each(outputs)("%s", (_, manifests) => {
  test("no two resources have the same kind, namespace and name, and each says its namespace", () => {
    const ids = manifests.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    expect(ids).toEqual([...new Set(ids)]);
    expect(manifests.filter(({ metadata }) => metadata.namespace === undefined)).toEqual([]);
  });

  test("no container runs as root, writes to its file system, or may gain rights", () => {
    for (const manifest of manifests.filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet")) {
      const spec = at<Tree>(manifest, "spec.template.spec");
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      });
      for (const container of [...((spec.initContainers ?? []) as Tree[]), ...at<Tree[]>(spec, "containers")])
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
    }
  });

  test("every volume that is mounted is there, and every one that is there is mounted", () => {
    const pod = podOf(manifests);
    if (pod === undefined) return;
    const mounts = findAll<{ name: string }[]>(pod.spec, "volumeMounts").flat();
    const volumes = at<{ name: string }[]>(pod.spec, "volumes").map(({ name }) => name);
    expect(new Set(mounts.map(({ name }) => name))).toEqual(new Set(volumes));
    expect(findAll(pod.spec, "subPath")).toEqual([]);
  });
});

test("what is stored was rendered with this version of the chart: `npm run test:chart -- -u`", () => {
  const labels = outputs.flatMap(([, manifests]) => findAll<string>(manifests, "app.kubernetes.io/version"));
  expect(labels.length).toBeGreaterThan(50);
  expect(new Set(labels)).toEqual(new Set([packageJson.version]));
});

test("what reaches bearerswap's own port is named, and nothing reaches Valkey but bearerswap", () => {
  const policies = outputs.flatMap(([, manifests]) => manifests.filter(({ kind }) => kind === "NetworkPolicy"));
  expect(policies.length).toBeGreaterThan(4);
  for (const policy of policies)
    for (const rule of at<Tree[]>(policy, "spec.ingress")) {
      expect(at<unknown[]>(rule, "from").length).toBeGreaterThan(0);
      expect(at<unknown[]>(rule, "ports")).toHaveLength(1);
    }
  const valkey = only(renderedWith("valkey"), "NetworkPolicy", "bearerswap-valkey");
  const selector = at(only(renderedWith("valkey"), "Deployment"), "spec.selector");
  expect(at(valkey, "spec.ingress.0.from")).toEqual([{ podSelector: selector }]);
});

test("Services and budgets select bearerswap's pods, and never Valkey's", () => {
  const manifests = renderedWith("valkey");
  const selector = at(only(manifests, "Deployment"), "spec.selector.matchLabels");
  const valkeys = at<Tree>(only(manifests, "StatefulSet", "bearerswap-valkey"), "spec.template.metadata.labels");
  expect(at(only(manifests, "Service"), "spec.selector")).toEqual(selector);
  expect(at(only(manifests, "PodDisruptionBudget"), "spec.selector.matchLabels")).toEqual(selector);
  expect(at(only(manifests, "Service", "bearerswap-valkey"), "spec.selector")).toEqual(valkeys);
  expect(valkeys).not.toMatchObject(selector as object);
  expect(at(only(renderedWith("production"), "HorizontalPodAutoscaler"), "spec.scaleTargetRef")).toEqual({
    apiVersion: "apps/v1",
    kind: "Deployment",
    name: "bearerswap",
  });
  expect(at(only(renderedWith("production"), "Deployment"), "spec")).not.toHaveProperty("replicas");
});

test("the rules for Prometheus are those of envoy/prometheus/, and the monitor finds the metrics' Service", () => {
  const manifests = renderedWith("production");
  expect(only(manifests, "PrometheusRule").spec).toEqual(example("prometheus/bearerswap-alerts.yaml").documents[0]);
  const labels = at<Tree>(only(manifests, "Service", "bearerswap-metrics"), "metadata.labels");
  expect(labels).toMatchObject(at<object>(only(manifests, "ServiceMonitor"), "spec.selector.matchLabels"));
  const [endpoint] = at<Tree[]>(only(manifests, "ServiceMonitor"), "spec.endpoints");
  expect(at(only(manifests, "Service", "bearerswap-metrics"), "spec.ports.0.name")).toBe(endpoint?.port);
});

test("the dashboards are those of envoy/grafana/, each with the label that Grafana's sidecar looks for", () => {
  const labelled = (values: string) =>
    renderedWith(values).filter(({ metadata }) => "grafana_dashboard" in ((metadata.labels ?? {}) as Tree));
  const found = labelled("production").map(({ kind, metadata, data }) => {
    const [[file = "", text = ""] = []] = Object.entries(data as Readonly<Record<string, string>>);
    return [kind, at(metadata, "labels.grafana_dashboard"), `grafana/${file}`, JSON.parse(text)];
  });
  const written = examplesOf("dashboard").map(({ name, documents }) => ["ConfigMap", "1", name, documents[0]]);
  expect(found).toEqual(written);
  expect(labelled("memory")).toEqual([]);
});

test("a changed configuration restarts nothing, unless that is wanted", () => {
  const annotationsOf = (values: string) =>
    (at<Tree>(only(renderedWith(values), "Deployment"), "spec.template.metadata").annotations ?? {}) as Tree;
  expect(annotationsOf("memory")).not.toHaveProperty(["checksum/config"]);
  expect(annotationsOf("production")).toHaveProperty(["checksum/config"]);
});

function loaded(text: string, manifests: readonly Manifest[]): LoadedConfig {
  return parseConfig(text, "bearerswap.yaml", { env: environmentOf(manifests) });
}

/** As Kubernetes would set it from the container's `env`. */
function environmentOf(manifests: readonly Manifest[]): Record<string, string> {
  const variables = (podOf(manifests)?.container.env ?? []) as { name: string; value?: string }[];
  return Object.fromEntries(variables.map(({ name, value = "secret" }) => [name, value]));
}
