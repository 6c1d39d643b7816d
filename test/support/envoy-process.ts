import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { findEnvoy } from "./binaries.ts";
import { type ExitStatus, startChildServer } from "./child-process.ts";
import { startContainer } from "./containers.ts";
import { until } from "./until.ts";

/** A bootstrap object, the text of one (anything with a line break), or the path of a file. */
export type EnvoyConfig = string | object;

export interface EnvoyOptions {
  readonly config: EnvoyConfig;
  /** Worker threads, default 1. */
  readonly concurrency?: number;
  /** More command-line arguments, for example `["--component-log-level", "ext_authz:debug"]`. */
  readonly args?: readonly string[];
  /** Directories that the configuration reads (certificates, sockets); only a container has to be told. */
  readonly mounts?: readonly string[];
}

export interface EnvoyProcess {
  readonly adminUrl: string;
  /** Where the named listener listens, also when the configuration says port 0; without a name, the first one. */
  port(listenerName?: string): number;
  output(): string;
  stop(): Promise<void>;
  /** Resolves when it ends, for whatever reason; in a container, only by `stop`. */
  readonly exited: Promise<ExitStatus>;
}

/** Admin on a free loopback port, merged over what the configuration says. */
const adminOverride = JSON.stringify({
  admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
});

/** Starts a real Envoy and resolves when it is LIVE; rejects with what it printed when it cannot start. */
export async function startEnvoy({
  config,
  concurrency = 1,
  args = [],
  mounts = [],
}: EnvoyOptions): Promise<EnvoyProcess> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-envoy-"));
  const adminFile = join(dir, "admin");
  const path = await configFile(config, dir);
  const runArgs = ["--config-path", path, "--config-yaml", adminOverride, "--admin-address-path", adminFile];
  const allArgs = [...runArgs, "--disable-hot-restart", "--concurrency", String(concurrency), ...args];
  const removeDir = () => rm(dir, { recursive: true, force: true });
  const running = await launch(allArgs, [dir, dirname(path), ...mounts]).catch(async (error: unknown) => {
    await removeDir();
    throw error;
  });
  const stop = () => running.stop().then(removeDir);

  try {
    const adminUrl = await Promise.race([untilLive(adminFile), failWhenEnded(running)]);
    const ports = await listenerPorts(adminUrl);
    return { adminUrl, port: (name) => portOf(ports, name), output: running.output, stop, exited: running.exited };
  } catch (cause) {
    await stop();
    throw new Error(`Envoy did not become ready:\n${running.output()}`, { cause });
  }
}

/** Runs `envoy --mode validate`; throws with what Envoy says about an invalid configuration. */
export async function validateEnvoyConfig(
  config: EnvoyConfig,
  { mounts = [] }: { mounts?: readonly string[] } = {},
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-envoy-"));
  try {
    const path = await configFile(config, dir);
    const running = await launch(["--mode", "validate", "--config-path", path], [dirname(path), ...mounts], "once");
    const { code } = await running.exited;
    if (code !== 0) throw new Error(`Envoy refuses this configuration:\n${running.output()}`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

type Launched = Pick<EnvoyProcess, "output" | "exited" | "stop">;

async function launch(
  args: readonly string[],
  mounts: readonly string[],
  mode: "serve" | "once" = "serve",
): Promise<Launched> {
  const source = await findEnvoy();
  if (source.kind === "binary") return startChildServer(source.path, args);
  const ended = Promise.withResolvers<ExitStatus>();
  const container = await startContainer(source.image, (image, wait) =>
    image
      .withEntrypoint(["envoy"])
      .withCommand([...args])
      .withNetworkMode("host")
      .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
      .withBindMounts([...new Set(mounts)].map((path) => ({ source: path, target: path })))
      .withWaitStrategy(mode === "once" ? wait.forOneShotStartup() : wait.forLogMessage(/starting main dispatch loop/)),
  );
  const stop = () => container.stop().then(() => ended.resolve({ code: 0, signal: null }));
  if (mode === "once") await stop();
  return { output: container.output, exited: ended.promise, stop };
}

async function configFile(config: EnvoyConfig, dir: string): Promise<string> {
  if (typeof config === "string" && !config.includes("\n")) return resolve(config);
  const path = join(dir, typeof config === "string" ? "envoy.yaml" : "envoy.json");
  await writeFile(path, typeof config === "string" ? config : JSON.stringify(config));
  return path;
}

async function untilLive(adminFile: string): Promise<string> {
  return until("a live Envoy", async () => {
    const address = await readFile(adminFile, "utf8").catch(() => "");
    if (!/:\d+$/.test(address)) return undefined;
    const ready = await fetch(`http://${address}/ready`).catch(() => undefined);
    return (await ready?.text()) === "LIVE\n" ? `http://${address}` : undefined;
  });
}

async function failWhenEnded(running: Launched): Promise<never> {
  const { code, signal } = await running.exited;
  throw new Error(`ended with ${code ?? signal}`);
}

interface ListenersAnswer {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address?: { readonly port_value: number } };
  }[];
}

async function listenerPorts(adminUrl: string): Promise<ReadonlyMap<string, number>> {
  const answer = (await (await fetch(`${adminUrl}/listeners?format=json`)).json()) as ListenersAnswer;
  const statuses = answer.listener_statuses ?? [];
  return new Map(statuses.map(({ name, local_address }) => [name, local_address.socket_address?.port_value ?? 0]));
}

function portOf(ports: ReadonlyMap<string, number>, name: string | undefined): number {
  const port = name === undefined ? ports.values().next().value : ports.get(name);
  if (port === undefined) throw new Error(`Envoy has no listener ${name ?? ""}, only: ${[...ports.keys()].join(", ")}`);
  return port;
}
