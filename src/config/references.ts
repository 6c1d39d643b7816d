import { readFileSync } from "node:fs";
import { messageOf } from "../error.ts";

/** One thing wrong with the configuration. */
export interface Problem {
  /** Where: `upstreams.crm.clientId`, `sessions[0].jwt`. */
  readonly path: string;
  readonly message: string;
}

/** Where references are looked up. */
export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The keys whose values must come from outside the file: it is committed, mailed and printed. */
const secretKeys = new Set(["clientSecret", "privateKey", "password", "adminToken"]);
/** The same by path: elsewhere `key` is the name of a file. */
const secretPath = /^store\.encryption\.keys\[\d+\]\.key$/;
/** Looked for in what is left without the references. */
const passwordInUrl = /^\w+:\/\/[^@]*:[^@]+@/;
const reference = /\$\{([^}]*)\}/g;

/** Replaces `${env:NAME}` and `${file:/path}` in every string of the parsed file. Problems name the path, never a value. */
export function resolveReferences(raw: unknown, { env }: Environment, problems: Problem[]): unknown {
  return resolve(raw, "");

  function resolve(value: unknown, path: string): unknown {
    if (typeof value === "string") return resolveString(value, path);
    if (Array.isArray(value)) return value.map((item, at) => resolve(item, `${path}[${at}]`));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, path === "" ? key : `${path}.${key}`)]));
  }

  function resolveString(text: string, path: string): string {
    const key = path.slice(path.lastIndexOf(".") + 1);
    if ((secretKeys.has(key) || secretPath.test(path)) && !/^\$\{(?:env|file):[^}]+\}$/.test(text)) {
      problems.push({ path, message: "must not stand in the file: write ${env:NAME} or ${file:/path}" });
    }
    if (key === "url" && passwordInUrl.test(text.replace(reference, ""))) {
      problems.push({ path, message: "must not hold a password: write ${env:NAME} or ${file:/path} in its place" });
    }
    return text.replace(reference, (_whole, inside: string) => lookUp(inside, path));
  }

  function lookUp(inside: string, path: string): string {
    const [, kind, target = ""] = /^(env|file):(.+)$/.exec(inside) ?? [];
    if (kind === "env") return fromEnvironment(target, path);
    if (kind === "file") return fromFile(target, path);
    problems.push({ path, message: "has a ${…} that is neither ${env:NAME} nor ${file:/path}" });
    return "unresolved";
  }

  function fromEnvironment(variable: string, path: string): string {
    const value = env[variable];
    if (value !== undefined && value !== "") return value;
    problems.push({ path, message: `needs the environment variable ${variable}, which is not set` });
    return "unresolved";
  }

  function fromFile(file: string, path: string): string {
    try {
      return readFileSync(file, "utf8").replace(/\r?\n$/, "");
    } catch (error) {
      problems.push({ path, message: `needs the file ${file}: ${messageOf(error)}` });
      return "unresolved";
    }
  }
}
