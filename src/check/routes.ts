import type { CheckInput } from "../sessions/check-input.ts";
import { createFanOuts, type FanOut, type Missing } from "./fan-out.ts";
import { matchHost, type RouteHost, requestHost, routeHost } from "./host-match.ts";
import { readingOf } from "./path-reading.ts";
import type { CheckUpstream } from "./upstream.ts";

/** A route of the configuration: for requests that Envoy's `context_extensions` do not already assign. */
export interface Route {
  /** Lower-case, with a port where requests have to name it; absent for any. */
  readonly host?: string | undefined;
  /** Begins with `/`; matches whole segments. */
  readonly pathPrefix: string;
  /** Absent, and no `upstreams`: the request passes without a token, and without the session's credential. */
  readonly upstream?: string | undefined;
  /** In place of `upstream`: several, whose tokens go into different headers. */
  readonly upstreams?: readonly string[] | undefined;
  /** Default `deny`. */
  readonly missing?: Missing | undefined;
  /** Whether the upstream is an MCP server. */
  readonly mcp?: boolean | undefined;
}

/** Where a request gets tokens for. */
export type RouteTarget =
  | { readonly kind: "upstream"; readonly upstream: CheckUpstream }
  | { readonly kind: "fan_out"; readonly fanOut: FanOut };

export type RouteResult =
  | RouteTarget
  | { readonly kind: "passthrough" }
  | { readonly kind: "none"; readonly why: string }
  /** Envoy, or the API, may read the request in another way than we do. */
  | { readonly kind: "ambiguous"; readonly why: string };

/** Tells which upstream a request is for. */
export interface Routes {
  of(input: CheckInput): RouteResult;
  /** Whether it is for an MCP server. */
  isMcp(input: CheckInput): boolean;
  /** What assigned the request, in words of the configuration: a route's host and path, or Envoy. */
  nameOf(input: CheckInput): string | undefined;
  /** How each route of the configuration stands to the request, in the order in which they are tried. */
  compared(input: CheckInput): readonly ComparedRoute[];
}

/** How a request stands to a route. `near_host`: it is the route's host but for a port or trailing dots. */
type RouteMatch = "same" | "near_host" | "other_host" | "other_path";

export interface ComparedRoute {
  readonly route: Route;
  readonly match: RouteMatch;
}

interface RoutesConfig {
  /** By the upstream's name. */
  readonly upstreams: Readonly<Record<string, Pick<CheckUpstream, "inject">>>;
  readonly routes: readonly Route[];
  /** Whether Envoy ignores ports where it looks for a host's routes (`ignore_port_in_host_matching`). */
  readonly ignorePort: boolean;
}

const passthrough: RouteResult = { kind: "passthrough" };
const ambiguousPath: RouteResult = { kind: "ambiguous", why: "ambiguous path" };
const encodedSlash: RouteResult = {
  kind: "ambiguous",
  why: "ambiguous path: %2F, and not all routes of the host lead to one upstream",
};
const ambiguousHost: RouteResult = {
  kind: "ambiguous",
  why: "ambiguous host: a route matches only without its port or trailing dot; let Envoy strip them, name the port in the route, or set ignorePort",
};
const noRoute: RouteResult = {
  kind: "none",
  why: "no route of the configuration matches, and Envoy named no upstream",
};

const onlyMissing: RouteResult = {
  kind: "none",
  why: "Envoy's context_extensions say `missing` and no upstream: it goes with upstream, and stands in `routes` else",
};

/** A route as requests are compared with it. */
interface Candidate {
  readonly route: Route;
  readonly host: RouteHost | undefined;
  readonly leadsTo: RouteResult;
  /** The same for routes that treat their requests alike. */
  readonly treatment: string;
}

export function createRoutes({ upstreams, routes, ignorePort }: RoutesConfig): Routes {
  const known = new Map(Object.entries(upstreams).map(([name, { inject }]) => [name, { name, inject }]));
  const byName = new Map<string, RouteResult>(
    [...known].map(([name, upstream]) => [name, { kind: "upstream", upstream }]),
  );
  const fanOuts = createFanOuts(known);
  const candidates = [...routes].sort(moreSpecificFirst).map(candidateOf);
  return {
    of(input) {
      if (input.upstream !== undefined)
        return (
          (input.missing === undefined ? byName.get(input.upstream) : undefined) ??
          fanOuts.named(input.upstream, input.missing)
        );
      if (input.missing !== undefined) return onlyMissing;
      if (candidates.length === 0) return noRoute;
      return resultOf(input);
    },
    isMcp(input) {
      if (input.upstream !== undefined) return input.mcp;
      const found = routeOf(pathOf(input.path), requestHost(input.host, ignorePort));
      return typeof found === "object" && found.route.mcp === true;
    },
    nameOf(input) {
      if (input.upstream !== undefined) return "context_extensions";
      const found = routeOf(pathOf(input.path), requestHost(input.host, ignorePort));
      return typeof found === "object" ? `${found.route.host ?? ""}${found.route.pathPrefix}` : undefined;
    },
    compared(input) {
      const [path, host] = [pathOf(input.path), requestHost(input.host, ignorePort)];
      return candidates.map((candidate) => ({ route: candidate.route, match: matchOf(candidate, path, host) }));
    },
  };

  function candidateOf(route: Route): Candidate {
    const { missing = "deny", mcp = false } = route;
    const names = upstreamsOf(route);
    return {
      route,
      host: route.host === undefined ? undefined : routeHost(route.host),
      leadsTo: names.length === 0 ? passthrough : targetOf(names, missing),
      treatment: JSON.stringify([names, missing, mcp]),
    };
  }

  function targetOf(names: readonly string[], missing: Missing): RouteResult {
    const [name = "", ...others] = names;
    return others.length === 0 && missing === "deny" ? (byName.get(name) ?? noRoute) : fanOuts.of(names, missing);
  }

  function resultOf(input: CheckInput): RouteResult {
    const path = pathOf(input.path);
    const host = requestHost(input.host, ignorePort);
    const reading = readingOf(path);
    if (reading === "ambiguous") return ambiguousPath;
    if (reading === "encoded_slash" && !leadsToOne(host)) return encodedSlash;
    const found = routeOf(path, host);
    if (found === "ambiguous_host") return ambiguousHost;
    if (found === undefined) return noRoute;
    return found.leadsTo;
  }

  /**
   * Routes that name the host come before those for any host. If a route names it except for a port or trailing dots,
   * Envoy may have taken the request for any host's, which may be another API: then nothing is guessed.
   */
  function routeOf(path: string, host: string): Candidate | "ambiguous_host" | undefined {
    let isNear = false;
    for (const candidate of candidates) {
      const match = matchOf(candidate, path, host);
      if (match === "same") return isNear && candidate.host === undefined ? "ambiguous_host" : candidate;
      isNear ||= match === "near_host";
    }
    return isNear ? "ambiguous_host" : undefined;
  }

  function matchOf(candidate: Candidate, path: string, host: string): RouteMatch {
    if (!hasPrefix(path, candidate.route.pathPrefix)) return "other_path";
    const match = candidate.host === undefined ? "same" : matchHost(host, candidate.host);
    if (match === "same") return match;
    return match === "near" ? "near_host" : "other_host";
  }

  /**
   * Whether all routes that the host could have lead to the same place. What an encoded slash means is then the API's
   * own affair.
   */
  function leadsToOne(host: string): boolean {
    const possible = candidates.filter(
      (candidate) => candidate.host === undefined || matchHost(host, candidate.host) !== "other",
    );
    const [first] = possible;
    return (
      first !== undefined &&
      first.leadsTo !== passthrough &&
      possible.every(({ treatment }) => treatment === first.treatment)
    );
  }
}

/** The names of a route's upstreams. */
export function upstreamsOf({ upstream, upstreams }: Pick<Route, "upstream" | "upstreams">): readonly string[] {
  return upstreams ?? (upstream === undefined ? [] : [upstream]);
}

/** The path alone. The query, or a fragment that should not be there, does not count for routes. */
function pathOf(target: string): string {
  return target.split(/[?#]/, 1)[0] ?? "";
}

function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return prefix.endsWith("/") || path.length === prefix.length || path[prefix.length] === "/";
}

/** A named host before any host, then the longest prefix. */
function moreSpecificFirst(a: Route, b: Route): number {
  return Number(b.host !== undefined) - Number(a.host !== undefined) || b.pathPrefix.length - a.pathPrefix.length;
}
