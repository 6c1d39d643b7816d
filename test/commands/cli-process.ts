import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { runCli } from "../../src/commands/cli.ts";
import { type ChildServer, startChildServer } from "../support/child-process.ts";
import type { Resources } from "../support/resources.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `node src/main.ts …` to its end; one that takes longer than 20 s is killed. */
export async function runProcess(
  args: readonly string[],
  { stdin = "", env = {} }: CliOptions = {},
): Promise<CliResult> {
  const options = {
    env: { ...process.env, ...env },
    stdio: "pipe",
    timeout: 20_000,
    killSignal: "SIGKILL",
  } as const;
  const child = spawn(process.execPath, [main, ...args], options);
  child.stdin.on("error", () => {}); // not every command reads it
  child.stdin.end(stdin);
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "close") as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

/**
 * Runs the same command line in this process: all of it but src/main.ts, without the second that a process takes to
 * start.
 */
export async function runHere(args: readonly string[], { stdin = "", env = {} }: CliOptions = {}): Promise<CliResult> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const untilStopped = () => Promise.reject(new Error("serve runs as a process"));
  const context = { env, stdin: Readable.from([stdin]), stdout, stderr, untilStopped, onHangup: () => {} };
  const code = await runCli(args, context);
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

/**
 * Fails the test unless the command ended as a failure, with one line that begins like `sentence`, and nothing else.
 */
export function expectSentence({ code, stdout, stderr }: CliResult, sentence: RegExp): void {
  expect(stderr).toMatch(sentence);
  expect(
    stderr
      .replace(/\n\(Did you mean .*\)\n$/, "")
      .trimEnd()
      .split("\n"),
  ).toHaveLength(1);
  expect(stderr).not.toMatch(/\n {4}at |node:internal|\.ts:\d/);
  expect([code, stdout]).toEqual([1, ""]);
}

/** A directory for one test; its path is short enough for unix sockets. */
export async function temporaryDirectory({ onStop }: Resources): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "bsw-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function writeConfig(resources: Resources, config: object): Promise<string> {
  const file = join(await temporaryDirectory(resources), "gateway.yaml");
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** `serve` as a child process. */
export interface Serve {
  readonly child: ChildServer;
  readonly grpc: string;
  readonly http: string;
  readonly admin: string;
  /** The log's lines. */
  lines(): readonly Record<string, unknown>[];
}

/** Starts `serve` and waits until it listens. */
export async function startServe(
  resources: Resources,
  config: object,
  env: Readonly<Record<string, string>> = {},
): Promise<Serve> {
  return serveFile(resources, await writeConfig(resources, config), env);
}

/** Like {@link startServe}, with a configuration file of the test's own. */
export async function serveFile(
  resources: Resources,
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Serve> {
  const child = await resources.use(startChildServer(process.execPath, [main, "serve", "--config", file], { env }));
  await child.printed(/"event":"listening"/);
  const lines = () =>
    child
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const listening = lines().find((line) => line.event === "listening");
  return {
    child,
    grpc: String(listening?.grpc),
    http: String(listening?.http),
    admin: String(listening?.admin),
    lines,
  };
}

/** Starts `serve` where it cannot start; resolves to how it ended. */
export async function failToServe(
  resources: Resources,
  config: object,
  env: Readonly<Record<string, string>> = {},
): Promise<CliResult> {
  return runProcess(["serve", "--config", await writeConfig(resources, config)], { env });
}

/**
 * Fails the test unless `serve` ended with exit code 1 and, beside its warnings, one line of JSON as its log has them;
 * returns that line.
 */
export function startFailure({ code, stdout, stderr }: CliResult): Record<string, unknown> {
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const [failure = {}, ...others] = lines.filter(({ event }) => event !== "config");
  expect([code, stderr, others]).toEqual([1, "", []]);
  expect(failure).toMatchObject({ level: "fatal", event: "start_failed" });
  return failure;
}
