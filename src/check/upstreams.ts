import type { CheckInput } from "./request.ts";

/** How an upstream wants its token. */
export interface Injection {
  /** Lower-case header name. */
  readonly header: string;
  /** The header's value, with `{token}` for the token. */
  readonly format: string;
}

/** What check knows of an upstream. */
export interface CheckUpstream {
  readonly name: string;
  readonly inject: Injection;
}

/** A route of the configuration: for requests that Envoy's `context_extensions` do not already assign. */
export interface Route {
  /** Lower-case, without port; absent for any. */
  readonly host?: string | undefined;
  /** Begins with `/`; matches whole segments. */
  readonly pathPrefix: string;
  /** Absent: the request passes without a token, and without the session's credential. */
  readonly upstream?: string | undefined;
  /** An MCP server stands there. */
  readonly mcp?: boolean | undefined;
}

export type RouteResult =
  | { readonly kind: "upstream"; readonly upstream: CheckUpstream }
  | { readonly kind: "passthrough" }
  | { readonly kind: "none"; readonly why: string }
  | { readonly kind: "ambiguous" };

/** Tells which upstream a request is for. */
export interface Upstreams {
  of(input: CheckInput): RouteResult;
  /** Whether it is for an MCP server. */
  isMcp(input: CheckInput): boolean;
}

const passthrough: RouteResult = { kind: "passthrough" };
const ambiguous: RouteResult = { kind: "ambiguous" };
const noRoute: RouteResult = { kind: "none", why: "no route of the configuration matches, and Envoy named no upstream" };

/**
 * Paths that servers read in different ways: dot segments, empty segments, backslashes, encoded separators, control characters, and what is no path.
 * Envoy by default neither normalises them for routing nor for us, so that a guess could pick another API's token.
 */
const ambiguousPath = /^[^/]|\/\/|\\|%2f|%5c|[\p{Cc} ]|%(?:[01][0-9a-f]|7f)|\/(?:\.|%2e){1,2}(?:\/|;|$)/iu;

export function createUpstreams(upstreams: readonly CheckUpstream[], routes: readonly Route[]): Upstreams {
  const byName = new Map<string, RouteResult>(upstreams.map((upstream) => [upstream.name, { kind: "upstream", upstream }]));
  const ordered = [...routes].sort(moreSpecificFirst);
  return {
    of(input) {
      if (input.upstream !== undefined)
        return byName.get(input.upstream) ?? { kind: "none", why: "Envoy's context_extensions name an upstream that is not configured" };
      if (ordered.length === 0) return noRoute;
      return route(input);
    },
    isMcp: (input) => (input.upstream === undefined ? routeOf(input)?.mcp === true : input.mcp),
  };

  function routeOf(input: CheckInput): Route | undefined {
    const [path, host] = [pathOf(input.path), hostOf(input.host)];
    return ordered.find((candidate) => (candidate.host === undefined || candidate.host === host) && hasPrefix(path, candidate.pathPrefix));
  }

  function route(input: CheckInput): RouteResult {
    if (ambiguousPath.test(pathOf(input.path))) return ambiguous;
    const found = routeOf(input);
    if (found === undefined) return noRoute;
    return found.upstream === undefined ? passthrough : (byName.get(found.upstream) ?? noRoute);
  }
}

/** The path alone: the query, or a fragment that should not be there, has no part in routing. */
function pathOf(target: string): string {
  return target.split(/[?#]/, 1)[0] ?? "";
}

function hostOf(authority: string): string {
  return authority.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
}

function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return prefix.endsWith("/") || path.length === prefix.length || path[prefix.length] === "/";
}

/** A named host before any host, then the longest prefix. */
function moreSpecificFirst(a: Route, b: Route): number {
  return Number(b.host !== undefined) - Number(a.host !== undefined) || b.pathPrefix.length - a.pathPrefix.length;
}
