import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A source file of this repository, running as a child process that does not outlive this one. */
export interface NodeChild {
  /** What it wrote to stderr so far. */
  errors(): string;
  /** Resolves when it has ended and all of its output was read: to the exit code, null after a signal. */
  readonly ended: Promise<number | null>;
  /** Sends the signal (default SIGTERM), after five seconds SIGKILL, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface NodeChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Becomes its standard input. */
  readonly input?: string;
  /** Gets each line of its standard output. */
  readonly onLine?: (line: string) => void;
  /** Signals go to its own children too. */
  readonly withChildren?: boolean;
}

const root = join(import.meta.dirname, "../..");
const living = new Set<(signal: NodeJS.Signals) => void>();
process.on("exit", () => {
  for (const send of living) send("SIGKILL");
});

/** Runs `node args…` in the repository's folder, under the Node that runs this. */
export function startNodeChild(
  args: readonly string[],
  { env = {}, input = "", onLine = () => {}, withChildren = false }: NodeChildOptions = {},
): NodeChild {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env }, detached: withChildren });
  const send = (signal: NodeJS.Signals) => void (withChildren ? signalGroup(child, signal) : child.kill(signal));
  const errors: string[] = [];
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  living.add(send);
  void ended.then(() => living.delete(send));
  createInterface({ input: child.stdout }).on("line", onLine);
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => errors.push(chunk));
  // One that ends without reading its input says why on stderr.
  child.stdin.on("error", () => {}).end(input);
  return {
    errors: () => errors.join("").trim(),
    ended,
    async stop(signal = "SIGTERM") {
      send(signal);
      const impatience = setTimeout(() => send("SIGKILL"), 5_000);
      await ended;
      clearTimeout(impatience);
    },
  };
}

function signalGroup({ pid = 0 }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(-pid, signal);
  } catch {
    // None of it is left.
  }
}
