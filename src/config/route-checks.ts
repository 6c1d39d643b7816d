import { type Route, upstreamsOf } from "../check/routes.ts";
import { headerTwin } from "../platform/header-twins.ts";
import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";
import { unknownUpstream } from "./suggestions.ts";

/** What routes must agree on with the other sections. */
export function routeChecks(config: Parsed): Problem[] {
  const routes = (config.routes ?? []).flatMap((route, at) => (route === undefined ? [] : [{ route, at }]));
  return routes.flatMap(({ route, at }) => [
    ...knownUpstreams(route, `routes[${at}]`, config),
    ...ownHeaders(route, `routes[${at}]`, config),
    ...reachableHost(route, `routes[${at}]`, config),
    ...servedMcp(route, `routes[${at}]`),
  ]);
}

function servedMcp(route: Route, path: string): Problem[] {
  if (!route.mcp || upstreamsOf(route).length > 0) return [];
  return [{ path: `${path}.mcp`, message: "goes with upstream or upstreams: what passes through needs no account" }];
}

function knownUpstreams(route: Route, path: string, { upstreams }: Parsed): Problem[] {
  if (upstreams === undefined) return [];
  return upstreamsOf(route).flatMap((name, at) =>
    Object.hasOwn(upstreams, name)
      ? []
      : [{ path: placeOf(route, path, at), message: unknownUpstream(name, Object.keys(upstreams)) }],
  );
}

/** Of two tokens in one header the API would get one alone. */
function ownHeaders(route: Route, path: string, { upstreams = {} }: Parsed): Problem[] {
  const seen = new Map<string, string>();
  return upstreamsOf(route).flatMap((name, at) => {
    const header = Object.hasOwn(upstreams, name) ? upstreams[name]?.inject.header : undefined;
    if (header === undefined) return [];
    const first = seen.get(headerTwin(header));
    if (first === undefined) seen.set(headerTwin(header), name);
    if (first === undefined || first === name) return [];
    const message = `"${name}" has its token in the header of "${first}" (${header}): give one of them another inject.header`;
    return [{ path: placeOf(route, path, at), message }];
  });
}

function placeOf({ upstreams }: Route, path: string, at: number): string {
  return upstreams === undefined ? `${path}.upstream` : `${path}.upstreams[${at}]`;
}

/**
 * Envoy leaves the port out of the request's host and not out of its routes' domains, so that one with a port never
 * matches.
 */
function reachableHost({ host }: Route, path: string, { ignorePort }: Parsed): Problem[] {
  if (ignorePort !== true || host === undefined || !/:\d+$/.test(host)) return [];
  return [
    { path: `${path}.host`, message: "names a port, and ignorePort says that Envoy ignores ports: leave it out" },
  ];
}
