import { isObject } from "../platform/json-object.ts";
import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";

/** Lists in which each member must be there once: one that is repeated was probably meant to be another. */
const distinctLists = new Set([
  ...["allowedSans", "audience", "authorizationServers", "nodes", "resource", "scopes", "strip", "trustDomains"],
  "upstreams",
  ...["refused", "misconfigured", "transient", "unknown"],
]);
/** The lists among them whose members are compared without letter case. */
const caseless = new Set(["nodes", "strip"]);

/** Members that are in a list of the file twice. */
export function repeatedMembers(value: unknown, path = ""): Problem[] {
  if (Array.isArray(value)) return value.flatMap((item, at) => repeatedMembers(item, `${path}[${at}]`));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const inner = path === "" ? key : `${path}.${key}`;
    const repeated = distinctLists.has(key) && Array.isArray(item) ? repetitions(item, inner, caseless.has(key)) : [];
    return [...repeated, ...repeatedMembers(item, inner)];
  });
}

function repetitions(list: readonly unknown[], path: string, ignoresCase: boolean): Problem[] {
  const seen = new Map<string, number>();
  return list.flatMap((item, at) => {
    if (typeof item !== "string") return [];
    const name = ignoresCase ? item.toLowerCase() : item;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, at);
    return first === undefined ? [] : [twin(`${path}[${at}]`, `${path}[${first}]`, "is the same as")];
  });
}

/** A second route for the same requests would never be used. */
export function repeatedRoutes({ routes = [] }: Pick<Parsed, "routes">): Problem[] {
  const seen = new Map<string, number>();
  return routes.flatMap((route, at) => {
    if (route === undefined) return [];
    const name = `${route.host ?? "*"} ${route.pathPrefix}`;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, at);
    const problem = twin(`routes[${at}]`, `routes[${first}]`, "has the host and pathPrefix of");
    return first === undefined
      ? []
      : [{ ...problem, message: `${problem.message}, and would never be used: remove one of them` }];
  });
}

/**
 * Sources that find the same credential, of which the later one would never be asked. Sources in headers and cookies
 * are compared in cross-checks.ts.
 */
export function repeatedSources({ sessions = [] }: Pick<Parsed, "sessions">): Problem[] {
  const seen = new Map<string, number>();
  const problems: Problem[] = [];
  for (const [at, source] of sessions.entries()) {
    const names =
      source?.kind === "principal"
        ? source.trustDomains
        : source?.kind === "metadata"
          ? [JSON.stringify([source.namespace, source.path])]
          : [];
    for (const name of names) {
      const first = seen.get(name);
      if (first === undefined || first === at) seen.set(name, at);
      else
        problems.push(
          twin(`sessions[${at}].${source?.kind}`, `sessions[${first}].${source?.kind}`, "finds the same sessions as"),
        );
    }
  }
  return problems;
}

/** Error words of a provider that are listed under two meanings. */
export function contradictions({ upstreams = {} }: Pick<Parsed, "upstreams">): Problem[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    const seen = new Map<string, string>();
    return (["refused", "misconfigured", "transient", "unknown"] as const).flatMap((meaning) =>
      (upstream?.errors?.[meaning] ?? []).flatMap((word) => {
        const first = seen.get(word);
        if (first === undefined) seen.set(word, meaning);
        if (first === undefined || first === meaning) return [];
        const other = `upstreams.${name}.errors.${first}`;
        return [
          {
            path: `upstreams.${name}.errors.${meaning}`,
            other,
            message: `"${word}" is in ${other} too: list it under one of them`,
          },
        ];
      }),
    );
  });
}

function twin(path: string, other: string, words: string): Problem {
  return { path, other, message: `${words} ${other}` };
}
