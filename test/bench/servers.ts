import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChildServer, startChildServer } from "../support/child-process.ts";
import { until } from "../support/until.ts";
import { upstream } from "./requests.ts";
import type { ProviderCounts } from "./token-server.ts";

/** A server under test, in a process of its own. */
export interface ServerProcess {
  readonly port: number;
  stop(): Promise<void>;
}

export interface BearerswapProcess extends ServerProcess {
  readonly pid: number;
  readonly adminSocket: string;
  /** Bytes on the heap and in buffers, after a full collection; only where started with `measurable`. */
  bytesInUse(): Promise<number>;
}

const root = join(import.meta.dirname, "../..");
const here = (file: string) => join(import.meta.dirname, file);

/** The measure of all ratios; see echo-server.ts. */
export async function startEcho(answer: Buffer): Promise<ServerProcess> {
  const child = await startChildServer(process.execPath, [here("echo-server.ts"), answer.toString("base64")]);
  return { port: await numberIn(child, /listening on (\d+)/g), stop: () => child.stop() };
}

/** A provider in a process of its own. */
export interface TokenServerProcess {
  /** Its token endpoint. */
  readonly url: string;
  counts(): Promise<ProviderCounts>;
  /** Begins the counts anew. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** See token-server.ts. */
export async function startTokenServer(serviceMs: number, refreshTokenLength = 0): Promise<TokenServerProcess> {
  const args = [here("token-server.ts"), String(serviceMs), String(refreshTokenLength)];
  const child = await startChildServer(process.execPath, args);
  const url = `http://127.0.0.1:${await numberIn(child, /listening on (\d+)/g)}`;
  return {
    url: `${url}/token`,
    counts: async () => (await (await fetch(url)).json()) as ProviderCounts,
    reset: async () => void (await (await fetch(url, { method: "DELETE" })).text()),
    stop: () => child.stop(),
  };
}

/**
 * `bearerswap serve` as an operator runs it. `config` has the `sessions`, and what else is not the same in all runs.
 */
export async function startBearerswap(
  config: object,
  { measurable = false, env = {} }: { readonly measurable?: boolean; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<BearerswapProcess> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-bench-"));
  const adminSocket = join(dir, "admin.sock");
  const file = join(dir, "bearerswap.yaml");
  await writeFile(file, JSON.stringify({ ...commonConfig(adminSocket), ...config }));
  const flags = measurable ? ["--expose-gc", "--import", here("memory-probe.ts")] : [];
  const args = [...flags, join(root, "src/main.ts"), "serve", "--config", file];
  const child = await startChildServer(process.execPath, args, { env });
  let asked = 0;
  const port = await numberIn(child, /"grpc":"127\.0\.0\.1:(\d+)"/g);
  // Without them every figure would be another service's.
  const missing = /"event":"grpc_hook_missing","hook":"(\w+)"/.exec(child.output());
  if (missing !== null) throw new Error(`@grpc/grpc-js has no place for ${missing[1]}: see docs/benchmark.md`);
  return {
    port,
    pid: child.pid,
    adminSocket,
    bytesInUse() {
      child.signal("SIGUSR2");
      return numberIn(child, /bytes in use: (\d+)/g, asked++);
    },
    async stop() {
      await child.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** No token ends during a run, so that the provider is never asked. */
function commonConfig(adminSocket: string): object {
  return {
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${adminSocket}` },
    upstreams: { [upstream]: { tokenEndpoint: "http://127.0.0.1:9/token", clientId: "gateway" } },
    log: { format: "json" },
  };
}

/** Waits until the output holds the pattern for the `nth` time (from 0), and gives the number in it. */
async function numberIn(child: ChildServer, pattern: RegExp, nth = 0): Promise<number> {
  const probe = () => {
    if (!child.running) throw new Error(`a server ended:\n${child.output()}`);
    return [...child.output().matchAll(pattern)][nth]?.[1];
  };
  const found = await until(`${pattern} from bearerswap or the echo server`, probe, { timeoutMs: 60_000 });
  return Number(found);
}
