import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { at, examplesOf, type Tree } from "../envoy/examples.ts";
import { manifest } from "../envoy/translated.ts";
import { startChildServer } from "../support/child-process.ts";
import { cluster } from "../support/envoy-config.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { builtProgram, goPrograms } from "../support/go-programs.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startEmptyKubernetes } from "./empty-kubernetes.ts";
import { tracingManifests } from "./tracing.ts";
import { moved, type Places } from "./world.ts";

/**
 * Istio's control plane without a cluster: it takes its resources from files, and an Envoy asks it as an ingress
 * gateway does. Resolves when that listens. Two filters are switched off that only Istio's own build of Envoy has; they
 * have no part in what is tested.
 */
export async function startIstio(
  { use, onStop }: Resources,
  { resources, mesh, port }: { resources: readonly object[]; mesh: object; port: number },
): Promise<EnvoyProcess> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-istio-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const files = { config: join(dir, "config"), mesh: join(dir, "mesh.yaml"), kubeconfig: join(dir, "kubeconfig") };
  await mkdir(files.config);
  await writeFile(join(files.config, "resources.yaml"), asDocuments(resources));
  await writeFile(files.mesh, stringify(mesh));
  await writeFile(files.kubeconfig, stringify(kubeconfig((await use(startEmptyKubernetes())).url)));
  const xds = await freePort();
  const addresses = { grpcAddr: xds, httpAddr: await freePort(), monitoringAddr: await freePort() };
  const pilot = await use(
    startChildServer(
      await builtProgram(goPrograms.pilot),
      [
        ...["discovery", "--configDir", files.config, "--meshConfig", files.mesh, "--kubeconfig", files.kubeconfig],
        ...Object.entries(addresses).flatMap(([flag, at]) => [`--${flag}`, `127.0.0.1:${at}`]),
        ...["--httpsAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", String(await freePort())],
      ],
      {
        env: {
          PILOT_ENABLE_METADATA_EXCHANGE: "false",
          PILOT_ENABLE_ALPN_FILTER: "false",
          PILOT_CERT_PROVIDER: "none",
          ENABLE_CA_SERVER: "false",
        },
      },
    ),
  );
  await pilot.printed(/starting gRPC discovery service/, 40_000);
  const envoy = await use(startEnvoy({ config: bootstrap(xds) }));
  await until(`a gateway on port ${port}`, () => listens(envoy, port), { timeoutMs: 20_000 }).catch(
    (cause: unknown) => {
      throw new Error(`the gateway did not become ready:\n${pilot.output()}\n${envoy.output()}`, { cause });
    },
  );
  return envoy;
}

/**
 * The manifests of envoy/istio, and what stands around them in a mesh. Changed are addresses alone; ServiceEntries stand
 * in for the Services of a cluster.
 */
export function istioResources({ port, ...places }: Places, publicUrl: string): readonly object[] {
  const manifests = examplesOf("manifests").flatMap(({ name, documents }) =>
    name.startsWith("istio/") ? documents.filter(({ kind }) => kind !== "ConfigMap" && kind !== "IstioOperator") : [],
  );
  const services = [
    serviceEntry("bearerswap.bearerswap", 9191, "GRPC", places.bearerswap),
    serviceEntry("crm.apis", 80, "HTTP", places.crm),
    serviceEntry("wiki.apis", 80, "HTTP", places.wiki),
    serviceEntry("otel-collector.monitoring", 4317, "GRPC", places.collector),
  ];
  return [...surroundings(port), ...manifests, ...telemetry(), ...services].map(
    (resource) => JSON.parse(moved(JSON.stringify(resource), publicUrl)) as object,
  );
}

/** The settings of the mesh as one merges them: those of envoy/istio, and the tracer's of docs/tracing.md. */
export function meshConfig(): Tree {
  const [ours, traces] = [manifest("istio", "IstioOperator"), tracingManifests("istio").find(isOperator)];
  const providers = [ours, traces].flatMap((each) => at<Tree[]>(each, "spec.meshConfig.extensionProviders"));
  return { ...at<Tree>(ours, "spec.meshConfig"), extensionProviders: providers };
}

function telemetry(): readonly Tree[] {
  return tracingManifests("istio").filter((each) => !isOperator(each));
}

function isOperator({ kind }: Tree): boolean {
  return kind === "IstioOperator";
}

/** The resources as one file, as `kubectl apply` takes them. */
export function asDocuments(resources: readonly object[]): string {
  return resources.map((resource) => stringify(resource)).join("---\n");
}

/** What the manifests call the user's own. */
function surroundings(port: number): readonly object[] {
  const apiVersion = "networking.istio.io/v1";
  const server = { port: { number: port, name: "http", protocol: "HTTP" }, hosts: ["*"] };
  return [
    {
      apiVersion,
      kind: "Gateway",
      metadata: { name: "apis", namespace: "istio-system" },
      spec: { selector: { istio: "ingressgateway" }, servers: [server] },
    },
  ];
}

function serviceEntry(name: string, number: number, protocol: "GRPC" | "HTTP", at: number): object {
  const [service, namespace] = name.split(".");
  const portName = protocol.toLowerCase();
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: service, namespace },
    spec: {
      hosts: [`${name}.svc.cluster.local`],
      ports: [{ number, name: portName, protocol }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.1", ports: { [portName]: at } }],
    },
  };
}

/** Envoy as the agent of an ingress gateway would start it. */
function bootstrap(xds: number): object {
  const source = { ads: {}, resource_api_version: "V3" };
  return {
    node: {
      id: "router~127.0.0.1~istio-ingressgateway.istio-system~istio-system.svc.cluster.local",
      cluster: "istio-ingressgateway.istio-system",
      metadata: {
        NAMESPACE: "istio-system",
        CLUSTER_ID: "Kubernetes",
        ISTIO_VERSION: "1.31.0",
        LABELS: { istio: "ingressgateway" },
      },
    },
    dynamic_resources: {
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: { clusters: [cluster("xds", `127.0.0.1:${xds}`, true)] },
  };
}

function kubeconfig(server: string): object {
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "empty", cluster: { server } }],
    users: [{ name: "nobody", user: {} }],
    contexts: [{ name: "empty", context: { cluster: "empty", user: "nobody" } }],
    "current-context": "empty",
  };
}

async function listens(envoy: EnvoyProcess, port: number): Promise<boolean> {
  const listeners = await (await fetch(`${envoy.adminUrl}/listeners`)).text();
  return listeners.includes(`:${port}`);
}
