import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { at, examplesOf, type Tree } from "../envoy/examples.ts";
import { configText, type Manifest, only, podOf, renderedWith } from "./rendered.ts";

/** What is the user's own, or differs by design; each has a test below or in rendered.test.ts. */
const theirs = new Set(["HTTPRoute apis/crm", "HTTPRoute apis/wiki", "VirtualService apis/crm", "IstioOperator"]);

/** The chart selects by labels of Helm's convention, envoy/ by one of its own. */
const chartLabels = { "app.kubernetes.io/name": "bearerswap", "app.kubernetes.io/instance": "bearerswap" };

describe.each(["envoy-gateway", "istio"])("with %s switched on the chart makes what envoy/ shows", (environment) => {
  const examples = within(`${environment}/`);
  const manifests = renderedWith(environment);

  test.each(
    examples
      .filter((manifest) => !theirs.has(idOf(manifest)) && manifest.kind !== "ConfigMap")
      .map((it) => [idOf(it), it]),
  )("%s", (id, expected) => {
    const found = manifests.find((manifest) => idOf(manifest) === id);
    expect(found && { ...found, metadata: { ...found.metadata, labels: undefined } }).toEqual(
      selectedByChart(expected as Manifest),
    );
  });

  test("nothing for the gateway beside it", () => {
    const shown = new Set([...examples, ...within("kubernetes/")].map(idOf));
    // Istio's own policies let the gateway alone in; the chart has the network's as well.
    const more = new Set(["PodDisruptionBudget bearerswap/bearerswap", "NetworkPolicy bearerswap/bearerswap"]);
    expect(manifests.map(idOf).filter((id) => !shown.has(id) && !more.has(id))).toEqual([]);
  });

  test("the configuration is the example's", () => {
    expect(parse(configText(manifests) ?? "")).toEqual({
      ...(parse(configText(examples) ?? "") as object),
      shutdown: { timeout: "20s" },
    });
  });
});

test("the Deployment is that of envoy/kubernetes/, for Istio with what its sidecar needs", () => {
  const expected = within("kubernetes/").find(({ kind }) => kind === "Deployment");
  const manifests = renderedWith("istio");
  const template = at<Tree>(only(manifests, "Deployment"), "spec.template");
  expect(at(template, "metadata.annotations")).toEqual(at(expected, "spec.template.metadata.annotations"));
  expect(at(template, "metadata.labels")).toMatchObject({ ...chartLabels, "sidecar.istio.io/inject": "true" });
  const own = podOf([expected as Manifest]);
  const pod = podOf(manifests);
  const kept = [
    "serviceAccountName",
    "automountServiceAccountToken",
    "terminationGracePeriodSeconds",
    "securityContext",
  ];
  for (const key of kept) expect([key, pod?.spec[key]]).toEqual([key, own?.spec[key]]);
  const inContainer = ["image", "args", "env", "ports", "livenessProbe", "readinessProbe", "lifecycle", "resources"];
  for (const key of inContainer) expect([key, pod?.container[key]]).toEqual([key, own?.container[key]]);
  expect(pod?.container.securityContext).toMatchObject(own?.container.securityContext as object);
});

test("the Service says HTTP/2 in words that Istio and Envoy Gateway know", () => {
  const [port] = at<Tree[]>(only(renderedWith("envoy-gateway"), "Service"), "spec.ports");
  expect(port).toEqual({ name: "grpc", port: 9191, targetPort: "grpc", appProtocol: "kubernetes.io/h2c" });
  expect(at(only(renderedWith("valkey"), "Service"), "spec.clusterIP")).toBe("None");
});

function within(folder: string): readonly Manifest[] {
  return examplesOf("manifests").flatMap(({ name, documents }) =>
    name.startsWith(folder) ? (documents as readonly Manifest[]) : [],
  );
}

function idOf({ kind, metadata }: Manifest): string {
  return metadata === undefined ? kind : `${kind} ${metadata.namespace}/${metadata.name}`;
}

/** A copy that selects bearerswap's pods as the chart does. */
function selectedByChart(manifest: Manifest): unknown {
  return JSON.parse(JSON.stringify(manifest).replaceAll('{"app":"bearerswap"}', JSON.stringify(chartLabels)));
}
