import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { at, examplesOf, replaceAll, type Tree } from "../envoy/examples.ts";
import { findEnvoy } from "../support/binaries.ts";
import { type ChildServer, startChildServer } from "../support/child-process.ts";
import { builtProgram, goPrograms } from "../support/go-programs.ts";
import { until } from "../support/until.ts";
import { tracingManifests } from "./tracing.ts";
import { moved, type Places } from "./world.ts";

const run = promisify(execFile);

const gatewayGroup = "gateway.envoyproxy.io";
const controllerName = `${gatewayGroup}/gatewayclass-controller`;

/** Envoy Gateway without a cluster: it reads its resources from a file, and runs an Envoy of ours. */
export interface EnvoyGateway {
  output(): string;
  /** Of its Envoy. */
  adminUrl(): Promise<string>;
  /** What it made of the resources, as its Envoy has it. */
  configDump(): Promise<unknown>;
  stop(): Promise<void>;
}

/**
 * Applies `resources`, and resolves when Envoy listens at the port that is waited for. Only one can run at a time: its
 * own ports (18000, 18001, 18002, 8081) are not ours to choose.
 */
export async function startEnvoyGateway(
  resources: readonly object[],
  port: number,
  /** Whether EnvoyPatchPolicies are switched on, as heal.yaml wants it. */
  { patches = true } = {},
): Promise<EnvoyGateway> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-envoy-gateway-"));
  const dirs = { configHome: "config", dataHome: "data", stateHome: "state", runtimeDir: "run" };
  const host = Object.fromEntries(Object.entries(dirs).map(([key, name]) => [key, join(dir, name)]));
  const config = {
    apiVersion: `${gatewayGroup}/v1alpha1`,
    kind: "EnvoyGateway",
    gateway: { controllerName },
    extensionApis: { enableBackend: true, enableEnvoyPatchPolicy: patches },
    provider: {
      type: "Custom",
      custom: {
        resource: { type: "File", file: { paths: [join(dir, "resources.yaml")] } },
        infrastructure: { type: "Host", host },
      },
    },
  };
  const program = await builtProgram(goPrograms.envoyGateway);
  await writeFile(join(dir, "envoy-gateway.yaml"), stringify(config));
  await writeFile(join(dir, "resources.yaml"), resources.map((resource) => stringify(resource)).join("---\n"));
  await giveEnvoy(host.dataHome ?? "");
  await run(program, ["certgen", "--local", "--config-home", host.configHome ?? ""]);
  const child = await startChildServer(program, ["server", "--config-path", join(dir, "envoy-gateway.yaml")]);
  const stop = () => child.stop().then(() => rm(dir, { recursive: true, force: true }));
  try {
    await untilAnswers(child, port);
  } catch (error) {
    await stop();
    throw error;
  }
  const adminUrl = () => adminUrlOf(host.runtimeDir ?? "");
  const configDump = async () => (await fetch(`${await adminUrl()}/config_dump`)).json() as Promise<unknown>;
  return { output: child.output, adminUrl, configDump, stop };
}

/** The runtime directory has a folder for each run of Envoy, with its admin address in it. */
async function adminUrlOf(runtimeDir: string): Promise<string> {
  const [runId = ""] = await readdir(runtimeDir);
  const address = await readFile(join(runtimeDir, runId, "admin-address.txt"), "utf8");
  return `http://${address.trim()}`;
}

/**
 * The manifests of envoy/envoy-gateway, and what stands around them in a cluster. Changed are addresses alone. Without
 * a cluster there are no Services, so that Backends (with their addresses) stand in for those; and bearerswap's is in
 * the namespace of who names it, since Envoy Gateway then takes no ReferenceGrant for a policy.
 */
export async function envoyGatewayResources(
  { port, collector, ...places }: Places,
  publicUrl: string,
): Promise<object[]> {
  const envoy = await envoyBinary();
  const [traced] = tracingManifests(gatewayGroup);
  const manifests = examplesOf("manifests").flatMap(({ name, documents }) =>
    name.startsWith("envoy-gateway/") ? documents.filter(({ kind }) => !ofKubernetes.has(String(kind))) : [],
  );
  const host = { type: "Host", host: { envoyVersion: envoy.version } };
  const relocated = [...surroundings(port), ...manifests].map((manifest) => {
    const backends = replaceAll(manifest, "backendRefs", (refs) => (refs as Tree[]).map(toBackend));
    // The cluster that heal.yaml adds.
    const address = { address: "127.0.0.1", port_value: places.bearerswap };
    const text = JSON.stringify(replaceAll(backends, "socket_address", () => address));
    const { spec, ...resource } = JSON.parse(moved(text, publicUrl)) as Tree & { readonly spec: object };
    if (resource.kind !== "EnvoyProxy") return { ...resource, spec };
    // A GatewayClass has one EnvoyProxy, which says all of it.
    const telemetry = replaceAll(at(traced, "spec.telemetry"), "backendRefs", (refs) =>
      (refs as Tree[]).map(toBackend),
    );
    return { ...resource, spec: { ...spec, telemetry, provider: host } };
  });
  const backends = Object.entries({ ...places, "otel-collector": collector });
  return [...relocated, ...backends.map(([name, port]) => backend(name, port))];
}

/** What only a cluster's own controllers read. */
const ofKubernetes = new Set(["ConfigMap", "NetworkPolicy", "ReferenceGrant"]);

/** What the manifests call the user's own. */
function surroundings(port: number): readonly Tree[] {
  const metadata = { namespace: "apis" };
  const api = { apiVersion: "gateway.networking.k8s.io/v1" };
  return [
    {
      ...api,
      kind: "GatewayClass",
      metadata: { name: "eg" },
      spec: {
        controllerName,
        parametersRef: { group: gatewayGroup, kind: "EnvoyProxy", name: "limits-first", namespace: "apis" },
      },
    },
    {
      ...api,
      kind: "Gateway",
      metadata: { ...metadata, name: "eg" },
      spec: { gatewayClassName: "eg", listeners: [{ name: "http", protocol: "HTTP", port }] },
    },
  ];
}

export function toBackend({ name }: Tree): Tree {
  return { group: gatewayGroup, kind: "Backend", name };
}

function backend(name: string, port: number): object {
  return {
    apiVersion: `${gatewayGroup}/v1alpha1`,
    kind: "Backend",
    metadata: { name, namespace: "apis" },
    spec: { endpoints: [{ ip: { address: "127.0.0.1", port } }] },
  };
}

/** Where it looks for an Envoy before it would download one. */
async function giveEnvoy(dataHome: string): Promise<void> {
  const { path, version } = await envoyBinary();
  const bin = join(dataHome, "envoy-versions", version, "bin");
  await mkdir(bin, { recursive: true });
  await symlink(path, join(bin, "envoy"));
}

/** Its version is in words such as `envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL`. */
async function envoyBinary(): Promise<{ readonly path: string; readonly version: string }> {
  const envoy = await findEnvoy();
  const [, version] = envoy.kind === "binary" ? (/\/(\d+\.\d+\.\d+)[/-]/.exec(envoy.version) ?? []) : [];
  if (envoy.kind !== "binary" || version === undefined)
    throw new Error("Envoy Gateway runs an Envoy by its path and version: set ENVOY_BIN to a released one");
  return { path: envoy.path, version };
}

async function untilAnswers(child: ChildServer, port: number): Promise<void> {
  await until(
    `Envoy on port ${port}`,
    async () => {
      if (!child.running) throw new Error(`Envoy Gateway ended:\n${child.output()}`);
      return fetch(`http://127.0.0.1:${port}/`).then(
        (answer) => answer.body?.cancel().then(() => true),
        () => undefined,
      );
    },
    { timeoutMs: 40_000, intervalMs: 100 },
  ).catch((cause: unknown) => {
    throw new Error(`Envoy Gateway did not become ready:\n${child.output()}`, { cause });
  });
}
