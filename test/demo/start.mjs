/**
 * Sets the demo up and runs it. Plain JavaScript for Node 20: a fresh clone has neither the project's own Node nor any
 * package.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const projectNode = join(root, "node_modules/.bin/node");
let forward = (_signal) => {};
let interruptedBy;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, interrupt);
// A signal to npm alone ends npm and its shell, and leaves this process behind.
const parent = process.ppid;
setInterval(() => process.ppid === parent || interrupt("SIGHUP"), 500).unref();

process.exit(await start(process.argv.slice(2)));

async function start(args) {
  if (!isInstalled()) {
    console.log("Installing the packages: npm ci");
    const code = await run("npm", ["ci", "--loglevel=error"], { signalGroup: true });
    if (interruptedBy !== undefined) return exitCode(null, interruptedBy);
    if (code === undefined) return fail("npm is needed to install the packages, and it is not on PATH.");
    if (code !== 0) return fail(`npm ci ended with ${code}; it says why above.`);
    if (!existsSync(projectNode))
      return fail(
        "npm ci installed no node_modules/.bin/node: the install script of the package `node` has to be allowed.",
      );
  }
  return (await run(projectNode, ["test/demo/main.ts", ...args])) ?? fail(`${projectNode} cannot be run.`);
}

function interrupt(signal) {
  interruptedBy = signal;
  forward(signal);
}

function fail(sentence) {
  console.error(`The demo cannot start: ${sentence}`);
  return 1;
}

/** Whether node_modules holds what the lock file says; packages for other platforms may be missing. */
function isInstalled() {
  const present = packagesIn("node_modules/.package-lock.json");
  if (present === undefined || !existsSync(projectNode)) return false;
  const wanted = Object.entries(packagesIn("package-lock.json") ?? {}).filter(([path]) => path !== "");
  return wanted.every(([path, { version, optional }]) =>
    path in present ? present[path].version === version : optional,
  );
}

function packagesIn(lockFile) {
  try {
    return JSON.parse(readFileSync(join(root, lockFile), "utf8")).packages;
  } catch {
    return undefined;
  }
}

/**
 * Runs a program to its end, in a process group of its own: the terminal's Ctrl-C reaches only this process, which
 * passes it on once, so that the program can end its children in order; what it leaves behind is killed. Resolves to
 * the exit code, undefined where it cannot be run.
 */
function run(file, args, { signalGroup = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: root,
      detached: true,
      stdio: ["ignore", "inherit", "inherit", ...(signalGroup ? [] : ["ipc"])],
    });
    const release = signalGroup ? () => {} : listenForKeys(child);
    child.once("error", () => resolve(undefined));
    child.once("exit", (code, signal) => {
      forward = () => {};
      release();
      killGroup(child.pid, "SIGKILL");
      resolve(exitCode(code, signal));
    });
    forward = (signal) => (signalGroup ? killGroup(child.pid, signal) : child.kill(signal));
  });
}

/** Passes keys of the terminal on: r. Without a terminal, or where it is another's now, there are none. */
function listenForKeys(child) {
  const { stdin } = process;
  if (!stdin.isTTY || process.argv.includes("--once")) return () => {};
  stdin.setRawMode(true);
  stdin.on("data", (keys) => {
    // In raw mode the terminal sends Ctrl-C as a key.
    if (keys.includes(3)) forward("SIGINT");
    else if (String(keys).includes("r") && child.connected) child.send("revoke");
  });
  return () => {
    stdin.setRawMode(false);
    stdin.pause();
  };
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // None of it is left.
  }
}

/** As shells count: 128 and the signal's number. */
function exitCode(code, signal) {
  return code ?? 128 + constants.signals[signal];
}
