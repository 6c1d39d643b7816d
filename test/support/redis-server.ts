import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRedis, findRedisWithoutHashExpiry, type RedisSource } from "./binaries.ts";
import { type ChildServer, startChildServer } from "./child-process.ts";
import { startContainer } from "./containers.ts";
import { until } from "./until.ts";

export interface RedisOptions {
  /** Default true: a server with HPEXPIRE. False: one without it. */
  readonly hashExpiry?: boolean;
  /** More command-line arguments, for example `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
  /** Default: a free one. Give a stopped server's port to restart it at the same address. */
  readonly port?: number;
  /** Working directory, kept when the server stops. Default: a temporary one. */
  readonly dir?: string;
  readonly password?: string;
  /** Starts a sentinel with this configuration file instead. Implies `hostNetwork`. */
  readonly sentinel?: string;
  /**
   * For servers that talk to each other, or that are asked where connections come from: a container listens on the
   * machine's own loopback, as a child process does.
   */
  readonly hostNetwork?: boolean;
}

export interface RedisServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  output(): string;
  /** Ends it at once, as a crash would (nothing is saved unless `args` say so); quiet when it has ended already. */
  stop(): Promise<void>;
  /** Sends a signal; for SIGKILL and SIGTERM, waits for the end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Freezes it: connections stay open, nothing is answered. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

const host = "127.0.0.1";
const started = /Ready to accept connections|Sentinel ID is/;
const sentinelFile = "sentinel.conf";

/** Starts a real Redis or Valkey without persistence on loopback; resolves when it answers PING. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const source = await (options.hashExpiry === false ? findRedisWithoutHashExpiry() : findRedis());
  return source.kind === "image" ? startInContainer(source, options) : startAsChild(source, options);
}

async function startAsChild(source: RedisSource & { kind: "binary" }, options: RedisOptions): Promise<RedisServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "bearerswap-redis-")));
  // A sentinel writes what it learns into its configuration.
  if (options.sentinel !== undefined) await writeFile(join(dir, sentinelFile), options.sentinel);
  const removeDir = async () => (options.dir === undefined ? rm(dir, { recursive: true, force: true }) : undefined);
  const { child, port } = await spawnOnFreePort(source, options, dir).catch(async (error: unknown) => {
    await removeDir();
    throw error;
  });
  await until("PONG", () => answersPing(port));

  async function end(signal: NodeJS.Signals): Promise<void> {
    child.signal("SIGCONT");
    await child.stop(signal);
    await removeDir();
  }

  return {
    ...address(port, options),
    pid: child.pid,
    output: child.output,
    stop: () => end("SIGKILL"),
    kill: async (signal) => (signal === "SIGKILL" || signal === "SIGTERM" ? end(signal) : child.signal(signal)),
    pause: async () => child.signal("SIGSTOP"),
    resume: async () => child.signal("SIGCONT"),
  };
}

/** Between the choice of a free port and the bind another process may take it; then another port is chosen. */
async function spawnOnFreePort(
  source: RedisSource & { kind: "binary" },
  options: RedisOptions,
  dir: string,
): Promise<{ child: ChildServer; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const child = await startChildServer(source.path, loopbackArgs(source, options, { port, dir }));
    try {
      await child.printed(started);
      return { child, port };
    } catch (error) {
      await child.stop("SIGKILL");
      if (attempt === 5 || options.port !== undefined || !/in use/i.test(child.output())) throw error;
    }
  }
}

async function startInContainer(source: RedisSource & { kind: "image" }, options: RedisOptions): Promise<RedisServer> {
  if (options.hostNetwork || options.sentinel !== undefined) return startOnHostNetwork(source, options);
  const { dir } = options;
  const command = [
    "--protected-mode",
    "no",
    ...(dir === undefined ? [] : ["--dir", dir]),
    ...commonArgs(source, options),
  ];
  const exposed = options.port === undefined ? 6379 : { container: 6379, host: options.port };
  const container = await startContainer(source.image, (image, wait) => {
    const server = image
      .withEntrypoint([programOf(source)])
      .withCommand(command)
      .withExposedPorts(exposed)
      .withWaitStrategy(wait.forLogMessage("Ready to accept connections"));
    // What it writes is to be removed by us: so it is written as us.
    return dir === undefined
      ? server
      : server.withBindMounts([{ source: dir, target: dir }]).withUser(`${process.getuid?.()}:${process.getgid?.()}`);
  });
  const port = container.mappedPort(6379);
  await until("PONG", () => answersPing(port));
  return {
    ...address(port, options),
    pid: container.pid,
    output: container.output,
    stop: container.stop,
    kill: container.signal,
    pause: container.pause,
    resume: container.resume,
  };
}

async function startOnHostNetwork(
  source: RedisSource & { kind: "image" },
  options: RedisOptions,
): Promise<RedisServer> {
  const port = options.port ?? (await freePort());
  const dir = "/tmp";
  const files = options.sentinel === undefined ? [] : [{ content: options.sentinel, target: join(dir, sentinelFile) }];
  // Past the image's entrypoint and user, who would not have the right to rewrite the file.
  const container = await startContainer(source.image, (image, wait) =>
    image
      .withNetworkMode("host")
      .withEntrypoint([programOf(source)])
      .withUser("root")
      .withCommand(loopbackArgs(source, options, { port, dir }))
      .withCopyContentToContainer(files)
      .withWaitStrategy(wait.forLogMessage(started)),
  );
  await until("PONG", () => answersPing(port));
  const { pid, output, stop, signal, pause, resume } = container;
  return { ...address(port, options), pid, output, stop, kill: signal, pause, resume };
}

function programOf(source: RedisSource & { kind: "image" }): string {
  return /valkey/.test(source.image) ? "valkey-server" : "redis-server";
}

/** A sentinel's configuration file comes first. */
function loopbackArgs(
  source: RedisSource,
  options: RedisOptions,
  { port, dir }: { readonly port: number; readonly dir: string },
): string[] {
  const mode = options.sentinel === undefined ? [] : [join(dir, sentinelFile), "--sentinel"];
  return [...mode, "--port", String(port), "--bind", host, "--dir", dir, ...commonArgs(source, options)];
}

function commonArgs(source: RedisSource, { args = [], password, sentinel }: RedisOptions): readonly string[] {
  if (sentinel !== undefined) return args;
  return ["--save", "", ...(password === undefined ? [] : ["--requirepass", password]), ...source.args, ...args];
}

function address(port: number, { password }: RedisOptions) {
  const credentials = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
  return { url: `redis://${credentials}${host}:${port}`, host, port };
}

/** True when the server answers an inline PING; one that asks for a password first is up as well. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write("PING\r\n"));
    const finish = (up: boolean) => {
      socket.destroy();
      resolve(up);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once("data", (reply) => finish(/^\+PONG|^-NOAUTH/.test(String(reply))));
    socket.once("error", () => finish(false));
    socket.once("close", () => finish(false));
  });
}

/**
 * Below the ports that Linux gives to connections and to listeners without one (ip_local_port_range): those may take a
 * port in the time between its choice and its use.
 */
const firstPort = 10_240;
const portCount = 20_000;
/** In turn, so that a port comes again late; from anywhere, so that processes seldom come to the same one together. */
let nextPort = Math.floor(Math.random() * portCount);

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < portCount; tried += 1) {
    const port = firstPort + nextPort;
    nextPort = (nextPort + 1) % portCount;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${firstPort} to ${firstPort + portCount - 1} is free on ${host}`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
