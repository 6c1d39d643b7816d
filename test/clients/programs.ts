import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { locked } from "../support/wheels.ts";

const run = promisify(execFile);
const sources = join(import.meta.dirname, "programs");
const cacheDir = join(import.meta.dirname, "../../.cache");

/** Where the clients are that their users have from npm and PyPI. */
export interface Programs {
  /** A file of an npm package that is among `programs/package.json`. */
  npm(file: string): string;
  /** A Python that has what `programs/requirements.txt` names. */
  readonly python: string;
}

/** Installs them into `.cache/`, once for each list of versions; throws with the words of npm or pip. */
export async function installPrograms(): Promise<Programs> {
  const [npm, python] = await Promise.all([
    installed("package-lock.json", async (dir) => {
      for (const name of ["package.json", "package-lock.json"]) await cp(join(sources, name), join(dir, name));
      // Not `npm ci`: an optional dependency for Windows is not in the registry, and so not in the lock.
      await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: dir });
    }),
    installed("requirements.txt", async (dir) => {
      await run("python3", ["-m", "venv", dir]);
      const packages = ["--requirement", join(sources, "requirements.txt")];
      await run(join(dir, "bin/python"), ["-m", "pip", "install", "--quiet", "--no-deps", ...packages]);
    }),
  ]);
  return { npm: (file) => join(npm, "node_modules", file), python: join(python, "bin/python") };
}

/** A directory that is complete, named for the content of the list that it was installed from. */
async function installed(list: string, install: (dir: string) => Promise<void>): Promise<string> {
  const digest = createHash("sha256")
    .update(await readFile(join(sources, list)))
    .digest("hex");
  const dir = join(cacheDir, `mcp-clients-${list.split(".")[0]}-${digest.slice(0, 12)}`);
  const mark = join(dir, "complete");
  await mkdir(cacheDir, { recursive: true });
  return locked(`${dir}.lock`, async () => {
    if (await stat(mark).catch(() => undefined)) return dir;
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir);
    await install(dir);
    await writeFile(mark, "");
    return dir;
  });
}
