import { readFileSync } from "node:fs";
import { messageOf } from "../platform/error.ts";
import { type Problem, pathOf } from "./problem.ts";
import { standIn } from "./stand-in.ts";

/** Where references are looked up. */
export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True: no variable and no file is looked up, and a stand-in is put in place of each. */
  readonly withoutValues?: boolean;
  /** Told of each file that is read, the configuration's own included, before it is read. */
  readonly note?: (file: string) => void;
}

/** The file's content with values in place of its references. */
export interface Resolved {
  readonly content: unknown;
  readonly problems: readonly Problem[];
  /** The paths that hold a stand-in for their value: what the schema finds wrong with a stand-in means nothing. */
  readonly replaced: ReadonlySet<string>;
}

/** The keys whose values must come from outside the file, since files are committed, mailed and printed. */
const secretKeys = new Set(["clientSecret", "privateKey", "password", "adminToken"]);
/** A secret key that is known by its path: elsewhere `key` is the name of a file. */
const secretPath = /^store\.encryption\.keys\[\d+\]\.key$/;
/** The keys whose values are names of files that are read with the configuration. */
const fileKeys = new Set(["cert", "key", "ca", "clientCa"]);
/** Looked for in what is left of the text when its references are taken out. */
const passwordInUrl = /^\w+:\/\/[^@]*:[^@]+@/;
const reference = /\$\{([^}]*)\}/g;

/**
 * Replaces `${env:NAME}` and `${file:/path}` in every string of the parsed file. Problems name the path, never a value.
 */
export function resolveReferences(raw: unknown, { env, withoutValues = false, note }: Environment): Resolved {
  const problems: Problem[] = [];
  const replaced = new Set<string>();
  const standIns = new Map<string, string>();
  return { content: resolve(raw, []), problems, replaced };

  function resolve(value: unknown, path: readonly PropertyKey[]): unknown {
    if (Array.isArray(value)) return value.map((item, at) => resolve(item, [...path, at]));
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, [...path, key])]));
    const [key, text] = [String(path.at(-1)), pathOf(path)];
    const isSecret = secretKeys.has(key) || secretPath.test(text);
    if (isSecret && value !== null && value !== undefined && !/^\$\{(?:env|file):[^}]+\}$/.test(String(value)))
      problem(text, "must not stand in the file: write ${env:NAME} or ${file:/path}");
    if (isSecret && typeof value !== "string") replaced.add(text);
    if (typeof value !== "string") return value;
    if (key === "url" && passwordInUrl.test(value.replace(reference, "")))
      problem(text, "must not hold a password: write ${env:NAME} or ${file:/path} in its place");
    const resolved = value.replace(reference, (_whole, inside: string) => lookUp(inside, text));
    if (!fileKeys.has(key) || isSecret) return resolved;
    if (withoutValues) return unknown(text, resolved);
    note?.(resolved);
    return resolved;
  }

  function problem(path: string, message: string): void {
    problems.push({ path, message });
  }

  /** Equal references get equal stand-ins, and others different ones: some values must differ from each other. */
  function unknown(path: string, inside: string): string {
    replaced.add(path);
    const known = standIns.get(inside) ?? standIn(standIns.size + 1);
    standIns.set(inside, known);
    return known;
  }

  function lookUp(inside: string, path: string): string {
    const [, kind, target = ""] = /^(env|file):(.+)$/.exec(inside) ?? [];
    if (kind !== undefined && withoutValues) return unknown(path, inside);
    if (kind === "env") return fromEnvironment(target, path) ?? unknown(path, inside);
    if (kind === "file") return fromFile(target, path) ?? unknown(path, inside);
    problem(path, "has a ${…} that is neither ${env:NAME} nor ${file:/path}");
    return unknown(path, inside);
  }

  function fromEnvironment(variable: string, path: string): string | undefined {
    const value = env[variable];
    if (value !== undefined && !isBlank(value)) return value;
    problem(path, `needs the environment variable ${variable}, which is ${value === undefined ? "not set" : "empty"}`);
    return undefined;
  }

  function fromFile(file: string, path: string): string | undefined {
    note?.(file);
    try {
      const value = readFileSync(file, "utf8").replace(/\r?\n$/, "");
      if (!isBlank(value)) return value;
      problem(path, `needs the file ${file}, which is empty`);
    } catch (error) {
      problem(path, `needs the file ${file}: ${messageOf(error)}`);
    }
    return undefined;
  }
}

/** A secret of white space alone is a mistake: as an admin token it would be one that anybody guesses. */
function isBlank(value: string): boolean {
  return value.trim() === "";
}
