import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cacheDir = join(import.meta.dirname, "../../.cache");

/** What is built from Go modules, the only place where their versions are named. */
export const goPrograms = {
  envoyGateway: { package: "github.com/envoyproxy/gateway/cmd/envoy-gateway", version: "v1.9.1" },
  // Istio tags no Go versions: this is a commit of 2026-08-27, whose file VERSION says 1.31.
  pilot: { package: "istio.io/istio/pilot/cmd/pilot-discovery", version: "v0.0.0-20260827124520-eed52ebb66ad" },
  istioctl: { package: "istio.io/istio/istioctl/cmd/istioctl", version: "v0.0.0-20260827124520-eed52ebb66ad" },
  helm: { package: "helm.sh/helm/v4/cmd/helm", version: "v4.3.2" },
  kubeconform: { package: "github.com/yannh/kubeconform/cmd/kubeconform", version: "v0.8.0" },
} as const;

/** Go modules of which only files are read. */
export const goModules = {
  kubernetes: "k8s.io/kubernetes@v1.37.2",
  gatewayApi: "sigs.k8s.io/gateway-api@v1.6.1",
  envoyGateway: `github.com/envoyproxy/gateway@${goPrograms.envoyGateway.version}`,
  // What the commit of Istio above names.
  istioApi: "istio.io/api@v1.31.0-rc.0.0.20260824154656-b943409680a7",
  // Later versions are no Go module that `go` can find.
  prometheusOperator: "github.com/prometheus-operator/prometheus-operator@v0.85.0",
} as const;

export type GoProgram = (typeof goPrograms)[keyof typeof goPrograms];

/** The program's path. It is built once, into `.cache/`; throws with Go's words when that does not succeed. */
export async function builtProgram(program: GoProgram): Promise<string> {
  const name = program.package.slice(program.package.lastIndexOf("/") + 1);
  const path = join(cacheDir, `${name}-${program.version}`, name);
  if (await exists(path)) return path;
  await mkdir(join(path, ".."), { recursive: true });
  const scratch = await mkdtemp(join(cacheDir, "build-"));
  try {
    await install(program, scratch);
    await rename(join(scratch, name), path);
    return path;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Where the module's files are; Go fetches them once. */
export async function moduleDir(module: string): Promise<string> {
  const { stdout } = await run("go", ["mod", "download", "-json", module]).catch((cause: unknown) => {
    throw new Error(`${module} could not be had: ${adviceOn(cause)}`, { cause });
  });
  return (JSON.parse(stdout) as { readonly Dir: string }).Dir;
}

async function install({ package: name, version }: GoProgram, binDir: string): Promise<void> {
  try {
    // Without debug information: the programs are a hundred megabytes smaller.
    await run("go", ["install", "-ldflags=-s -w", `${name}@${version}`], {
      env: { ...process.env, GOBIN: binDir },
      maxBuffer: 16 * 1024 * 1024,
    });
  } catch (cause) {
    throw new Error(`${name}@${version} could not be built: ${adviceOn(cause)}`, { cause });
  }
}

function adviceOn(cause: unknown): string {
  const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
  return isMissing ? "there is no Go: install 1.26.7 or later (https://go.dev/dl)" : "see the cause";
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
