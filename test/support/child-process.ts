import { spawn } from "node:child_process";
import { once } from "node:events";

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server running as a child of this process; it never outlives it. */
export interface ChildServer {
  readonly pid: number;
  /** Everything printed so far, stdout and stderr in the order of arrival. */
  output(): string;
  readonly exited: Promise<ExitStatus>;
  readonly running: boolean;
  /**
   * Resolves when `pattern` has been printed; rejects with the output when the process ends first or `timeoutMs`
   * passes.
   */
  printed(pattern: RegExp, timeoutMs?: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Sends `signal` (default SIGTERM), after five seconds SIGKILL, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const children = new Set<ChildServer>();
process.on("exit", () => {
  for (const child of children) child.signal("SIGKILL");
});

/** Starts `file`; rejects when it cannot be executed. */
export async function startChildServer(
  file: string,
  args: readonly string[],
  { cwd, env }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ChildServer> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], cwd, env: { ...process.env, ...env } });
  const chunks: string[] = [];
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      chunks.push(chunk);
      for (const listener of listeners) listener();
    });
  }
  const exited = new Promise<ExitStatus>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  await once(child, "spawn");

  const server: ChildServer = {
    pid: child.pid as number,
    output: () => chunks.join(""),
    exited,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    printed: (pattern, timeoutMs = 20_000) =>
      printed(server, listeners, pattern, `${file} ${args.join(" ")}`, timeoutMs),
    signal: (signal) => void child.kill(signal),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const impatience = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await exited;
      clearTimeout(impatience);
    },
  };
  children.add(server);
  void exited.then(() => children.delete(server));
  return server;
}

async function printed(
  server: ChildServer,
  listeners: Set<() => void>,
  pattern: RegExp,
  command: string,
  timeoutMs: number,
): Promise<void> {
  let listener = () => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string) => reject(new Error(`${command} ${what}:\n${server.output()}`));
      listener = () => {
        if (pattern.test(server.output())) resolve();
      };
      listeners.add(listener);
      listener();
      timer = setTimeout(() => fail(`did not print ${pattern} in ${timeoutMs} ms`), timeoutMs);
      void server.exited.then(({ code, signal }) => fail(`ended with ${code ?? signal}`));
    });
  } finally {
    clearTimeout(timer);
    listeners.delete(listener);
  }
}
