import { readFile } from "node:fs/promises";
import { digestOf } from "../platform/digest.ts";
import { type LoadedConfig, loadConfig } from "./load.ts";
import type { Environment } from "./references.ts";

/** What some files held at one time: digests by path. */
export type Look = ReadonlyMap<string, string>;

/** One load of a configuration, with the files that it has read. */
export interface SettledLoad {
  /** What was loaded. Throws what {@link loadConfig} threw. */
  readonly result: () => LoadedConfig;
  /** What the files held that it is of. Undefined where they went on changing meanwhile. */
  readonly look: Look | undefined;
}

/** Who writes files one after the other may need this many loads to be done. */
const maxTries = 5;

/**
 * Loads a configuration, and tells what its files held: the same before and after, so that it is what was loaded. A load
 * that fails has files too, as far as it got: it may succeed when they change.
 */
export async function loadSettled(file: string, environment: Environment): Promise<SettledLoad> {
  let files: ReadonlySet<string> = new Set([file]);
  for (let tries = 1; ; tries++) {
    const before = await lookAt(files);
    const noted = new Set<string>();
    const result = attempt(() => loadConfig(file, { ...environment, note: (named) => void noted.add(named) }));
    files = noted;
    if (sameLook(before, await lookAt(files))) return { result, look: before };
    if (tries === maxTries) return { result, look: undefined };
  }
}

function attempt<T>(run: () => T): () => T {
  try {
    const value = run();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/**
 * Reads the files and tells their contents by digests. Contents are the one thing that can be trusted: editors rename,
 * Kubernetes swaps a symbolic link of a folder, and network file systems tell of nothing.
 */
export async function lookAt(files: Iterable<string>): Promise<Look> {
  const digests = [...files].map(async (file) => [file, await digestAt(file)] as const);
  return new Map(await Promise.all(digests));
}

/** A file that cannot be read counts as another content: it may be there the next time. */
async function digestAt(file: string): Promise<string> {
  try {
    return digestOf(await readFile(file, "latin1"));
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code}`;
  }
}

export function sameLook(a: Look, b: Look): boolean {
  return a.size === b.size && [...a].every(([file, digest]) => b.get(file) === digest);
}
