import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { parseConfig } from "../../src/config/load.ts";
import { connectHeaders } from "../../src/connect/connect.ts";
import { wantedBy } from "../../src/sessions/sources.ts";
import { at, durationMs, example, examplesOf, findAll, replaceAll, type Tree } from "./examples.ts";

interface Manifest extends Tree {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Tree & { readonly provider?: { readonly name?: string } };
}
interface EnvVariable {
  readonly name: string;
  readonly valueFrom: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
}

const environments = ["istio", "envoy-gateway"] as const;
const manifests = new Map(examplesOf("manifests").map((file) => [file.name, file.documents as readonly Manifest[]]));
const deployment = only("kubernetes/", "Deployment");
const service = only("kubernetes/", "Service");
const container = at<Tree>(deployment, "spec.template.spec.containers.0");
const variables = at<EnvVariable[]>(container, "env");
const env = Object.fromEntries(variables.map(({ name }) => [name, "from a Secret"]));
const serviceHost = `${service.metadata.name}.${service.metadata.namespace}.svc.cluster.local`;

test("all manifests are in folders that these tests look at", () => {
  expect([...manifests.keys()].filter((name) => !/^(?:kubernetes|istio|envoy-gateway)\//.test(name))).toEqual([]);
});

test("no two manifests of one installation have the same kind, namespace and name", () => {
  for (const environment of environments) {
    const ids = [...within("kubernetes/"), ...within(`${environment}/`)].map(
      ({ kind, metadata }) => `${kind} ${metadata?.namespace}/${metadata?.name}`,
    );
    expect(ids).toEqual([...new Set(ids)]);
  }
});

describe("kubernetes/bearerswap.yaml", () => {
  test("the Service leads to the container's gRPC port", () => {
    const ports = new Map(
      at<{ name: string; containerPort: number }[]>(container, "ports").map(({ name, containerPort }) => [
        name,
        containerPort,
      ]),
    );
    expect(at(service, "spec.selector")).toEqual(at(deployment, "spec.selector.matchLabels"));
    expect(at(deployment, "spec.template.metadata.labels")).toMatchObject(
      at<object>(deployment, "spec.selector.matchLabels"),
    );
    expect(at(service, "spec.ports")).toEqual([{ name: "grpc", port: ports.get("grpc"), targetPort: "grpc" }]);
  });

  test("the image has the version of package.json, and nothing runs as root or writes to its file system", () => {
    expect(container.image).toBe(`registry.example.com/bearerswap:${packageJson.version}`);
    expect(at(deployment, "spec.template.spec.securityContext")).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });
});

describe.each(environments)("%s/", (environment) => {
  const map = only(`${environment}/`, "ConfigMap");
  const { file, text } = contentOf(map);
  const load = () => configOf(`${environment}/`);

  test("the ConfigMap holds a configuration that bearerswap takes", () => {
    expect(load().warnings).toEqual([
      expect.stringMatching(/^listen\.grpc: 0\.0\.0\.0:9191 is plaintext/),
      expect.stringMatching(/^store\.redis: .* is reached in plaintext/),
    ]);
    expect(load().config.store.kind).toBe("redis");
    // Both let Envoy ignore ports, and their users cannot let it strip them.
    expect(load().config.ignorePort).toBe(true);
  });

  test("it is what the container is started with, where the volume puts it", () => {
    const volumes = at<Tree[]>(deployment, "spec.template.spec.volumes");
    const mounts = new Map(
      at<{ name: string; mountPath: string }[]>(container, "volumeMounts").map(({ name, mountPath }) => [
        name,
        mountPath,
      ]),
    );
    const volume = volumes.find((candidate) => "configMap" in candidate);
    expect(volume?.configMap).toEqual({ name: map.metadata.name });
    expect(container.args).toEqual(["serve", "--config", `${mounts.get(String(volume?.name))}/${file}`]);
    const { admin } = load().config.listen;
    expect(admin?.kind === "unix" && admin.path.startsWith(`${mounts.get("run")}/`)).toBe(true);
  });

  test("the ports are those of the container, its probes and the Service", () => {
    const { grpc, http } = load().config.listen;
    expect(Object.entries({ grpc, http }).map(([name, address]) => ({ name, address }))).toEqual(
      at<{ name: string; containerPort: number }[]>(container, "ports").map(({ name, containerPort: port }) => ({
        name,
        address: { kind: "tcp", host: "0.0.0.0", port },
      })),
    );
    expect([at(container, "livenessProbe.httpGet"), at(container, "readinessProbe.httpGet")]).toEqual([
      { path: "/livez", port: "http" },
      { path: "/readyz", port: "http" },
    ]);
  });

  test("every variable it refers to comes from the Secret, and no other does", () => {
    const referred = [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name]) => name);
    expect(new Set(referred)).toEqual(new Set(variables.map(({ name }) => name)));
    expect(variables.map(({ valueFrom }) => valueFrom.secretKeyRef.name)).toEqual(variables.map(() => "bearerswap"));
  });

  test("the pod and its sidecar are given the time that a shutdown may take", () => {
    const shutdownMs =
      at<number>(container, "lifecycle.preStop.sleep.seconds") * 1_000 + load().config.shutdown.timeoutMs;
    const sidecar = parse(
      at<Record<string, string>>(deployment, "spec.template.metadata.annotations")["proxy.istio.io/config"] ?? "",
    ) as {
      terminationDrainDuration: string;
    };
    expect(durationMs(sidecar.terminationDrainDuration)).toBeGreaterThanOrEqual(shutdownMs);
    expect(at<number>(deployment, "spec.template.spec.terminationGracePeriodSeconds") * 1_000).toBeGreaterThan(
      shutdownMs,
    );
  });
});

test.each(environments)(
  "the filters of %s/heal.yaml are those of envoy-heal.yaml, in another cluster",
  (environment) => {
    const filtersOf = (name: string) => findAll<Tree[]>(example(name).documents, "http_filters").at(-1);
    const filters = filtersOf(`${environment}/heal.yaml`);
    const unreached = (tree: unknown) => replaceAll(tree, "grpc_service", () => "bearerswap");

    expect(unreached(filters)).toEqual(unreached(filtersOf("envoy-heal.yaml")));
    const { check } = configOf(`${environment}/`).config;
    for (const service of findAll<Tree>(filters, "grpc_service"))
      expect(durationMs(at(service, "timeout"))).toBeGreaterThan(check.deadlineMs);
    expect(configOf(`${environment}/`).config.heal).toBeDefined();
  },
);

describe("istio/", () => {
  const provider = at<Tree & { name: string }>(only("istio/", "IstioOperator"), "spec.meshConfig.extensionProviders.0");
  const config = () => configOf("istio/").config;

  test("the extension provider is the Service, waits longer than a check may take, and fails closed with 503", () => {
    expect(provider.envoyExtAuthzGrpc).toMatchObject({
      service: serviceHost,
      port: at(service, "spec.ports.0.port"),
      failOpen: false,
      statusOnError: "503",
    });
    expect(durationMs(at(provider, "envoyExtAuthzGrpc.timeout"))).toBeGreaterThan(config().check.deadlineMs);
  });

  test("the policy names the provider and leaves no request unchecked", () => {
    const custom = within("istio/").flatMap(({ spec }) => (spec?.action === "CUSTOM" ? [spec] : []));
    expect(custom.map(({ provider: { name } = {}, rules }) => ({ name, rules }))).toEqual([
      { name: provider.name, rules: [{}] },
    ]);
  });

  test("bearerswap is asked over mutual TLS, on its gRPC port alone", () => {
    const labels = at(deployment, "spec.selector.matchLabels");
    expect(only("istio/", "PeerAuthentication").spec).toEqual({
      selector: { matchLabels: labels },
      mtls: { mode: "STRICT" },
    });
    const callers = within("istio/").find(({ metadata }) => metadata?.name === "bearerswap-callers");
    expect(callers?.spec).toMatchObject({ selector: { matchLabels: labels }, action: "ALLOW" });
    expect(findAll(callers, "ports")).toEqual([[String(at(service, "spec.ports.0.port"))]]);
  });

  test("routes name the upstreams, as nothing else does", () => {
    expect(config().routes.flatMap(({ upstream }) => upstream ?? [])).toEqual(Object.keys(config().upstreams));
  });
});

describe("envoy-gateway/", () => {
  const policies = within("envoy-gateway/").filter(({ kind }) => kind === "SecurityPolicy");
  const config = () => configOf("envoy-gateway/").config;

  test.each(policies.map((policy) => [policy.metadata.name, policy] as const))(
    "%s calls the Service, waits longer than a check may take, and fails closed with 503",
    (_, policy) => {
      const extAuth = at<Tree>(policy, "spec.extAuth");
      const backend = {
        name: service.metadata.name,
        namespace: service.metadata.namespace,
        port: at(service, "spec.ports.0.port"),
      };
      expect(extAuth).toMatchObject({
        grpc: { backendRefs: [backend] },
        failOpen: false,
        statusOnError: 503,
        recomputeRoute: false,
      });
      expect(durationMs(at(extAuth, "timeout"))).toBeGreaterThan(config().check.deadlineMs);
      const { baseInterval, maxInterval } = at<Record<string, string>>(
        extAuth,
        "grpc.backendSettings.retry.perRetry.backOff",
      );
      expect(durationMs(maxInterval ?? "")).toBeGreaterThanOrEqual(durationMs(at(extAuth, "timeout")));
      // Envoy Gateway takes the whole seconds, and Envoy refuses none.
      expect(durationMs(baseInterval ?? "")).toBeGreaterThanOrEqual(1_000);
    },
  );

  test("the policies name the configured upstreams, and the MCP server's route has the body", () => {
    const extensions = policies.flatMap(({ spec }) => {
      const given = at<Tree>(spec, "extAuth");
      const named = (given.contextExtensions ?? []) as { name: string; type: string; value: string }[];
      if (named.length === 0) return [];
      return [[...named.map(({ name, type, value }) => `${name}=${type}:${value}`), "bodyToExtAuth" in given]];
    });
    expect(extensions).toEqual([
      ["upstream=Value:wiki", "mcp=Value:true", true],
      ["upstream=Value:crm", false],
    ]);
    expect(Object.keys(config().upstreams).sort()).toEqual(["crm", "wiki"]);
  });

  test("the policies send the headers that are read on their routes, and no others", () => {
    const sent = Object.fromEntries(
      policies.map(({ metadata, spec }) => [metadata.name, [...at<string[]>(spec, "extAuth.headersToExtAuth")].sort()]),
    );
    const inHeaders = wantedBy(
      config().sessions.filter(({ kind }) => kind === "jwt" || kind === "opaque" || kind === "cookie"),
    ).headers;
    const all = [...new Set([...inHeaders, ...connectHeaders, "x-request-id"])]
      // Envoy adds it by itself, and a client's own must not arrive.
      .filter((name) => name !== "x-envoy-auth-partial-body")
      .sort();
    const elsewhere = all.filter((name) => !name.startsWith("mcp-"));
    const pages = { connect: elsewhere, "connect-secrets": elsewhere };
    expect(sent).toEqual({ "wiki-token": all, "crm-token": elsewhere, ...pages });
  });

  test("the forms for secrets have the body, and the other pages have none", () => {
    const bodies = policies.map(({ metadata, spec }) => [metadata.name, at<Tree>(spec, "extAuth").bodyToExtAuth]);
    expect(Object.fromEntries(bodies)).toMatchObject({
      connect: undefined,
      "connect-secrets": { maxRequestBytes: 16_384 },
    });
  });

  test("the policies and the route of the pages may name the Service across namespaces", () => {
    const grant = only("envoy-gateway/", "ReferenceGrant");
    const across = within("envoy-gateway/").filter(({ spec }) =>
      findAll<Tree[]>(spec, "backendRefs").some((refs) => refs.some((ref) => ref.namespace !== undefined)),
    );
    const from = across.map(({ apiVersion, kind, metadata }) =>
      JSON.stringify({ group: apiVersion.split("/")[0], kind, namespace: metadata.namespace }),
    );
    expect(grant.metadata.namespace).toBe(service.metadata.namespace);
    expect(
      at<object[]>(grant, "spec.from")
        .map((granted) => JSON.stringify(granted))
        .sort(),
    ).toEqual([...new Set(from)].sort());
    expect(at(grant, "spec.to")).toEqual([{ group: "", kind: "Service", name: service.metadata.name }]);
  });

  test("only Envoy reaches the gRPC port, and paths are plain", () => {
    const network = only("envoy-gateway/", "NetworkPolicy");
    expect(network.metadata.namespace).toBe(deployment.metadata.namespace);
    expect(at(network, "spec.podSelector.matchLabels")).toEqual(at(deployment, "spec.selector.matchLabels"));
    expect(at(network, "spec.ingress.0.ports")).toEqual([{ protocol: "TCP", port: at(service, "spec.ports.0.port") }]);
    expect(at(only("envoy-gateway/", "ClientTrafficPolicy"), "spec.path")).toEqual({
      escapedSlashesAction: "RejectRequest",
      disableMergeSlashes: false,
    });
  });
});

function within(folder: string): readonly Manifest[] {
  return [...manifests].flatMap(([name, documents]) => (name.startsWith(folder) ? documents : []));
}

/** The one manifest of that kind in a folder. */
function only(folder: string, kind: string): Manifest {
  const found = within(folder).filter((manifest) => manifest.kind === kind);
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(`envoy/${folder} has ${found.length} manifests of kind ${kind}`);
  return found[0];
}

function contentOf(map: Manifest): { readonly file: string; readonly text: string } {
  const [[file, text] = ["", ""], ...others] = Object.entries(at<Record<string, string>>(map, "data"));
  if (others.length > 0) throw new Error(`the ConfigMap ${map.metadata.name} holds more than one file`);
  return { file, text };
}

function configOf(folder: string) {
  const { file, text } = contentOf(only(folder, "ConfigMap"));
  return parseConfig(text, file, { env });
}
