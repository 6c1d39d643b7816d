import { isHostOf } from "../check/own-host.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { ResourceConfig } from "./config.ts";

/** Protected resource metadata (RFC 9728). */
export interface ResourceMetadata {
  /** The document at a well-known path; undefined where there is none. */
  at(path: string): string | undefined;
  /** The URL of the document that covers a request, for `WWW-Authenticate` (RFC 9728 §5.1). */
  urlFor(input: CheckInput): string | undefined;
}

/** The paths of the documents begin with this, and go on with the resource's own path (RFC 9728 §3.1). */
export const wellKnownPath = "/.well-known/oauth-protected-resource";

export function createResourceMetadata(
  resources: readonly ResourceConfig[],
  issuers: readonly string[],
): ResourceMetadata {
  const entries = resources.map((config) => {
    const url = new URL(config.resource);
    const { origin, pathname } = url;
    const path = pathname === "/" ? "" : pathname;
    return {
      resource: url,
      path,
      wellKnown: `${wellKnownPath}${path}`,
      url: `${origin}${wellKnownPath}${path}`,
      document: documentOf(config, issuers),
    };
  });
  const longestFirst = [...entries].sort((a, b) => b.path.length - a.path.length);

  return {
    at: (path) => entries.find(({ wellKnown }) => wellKnown === path)?.document,
    urlFor({ host, path: target }) {
      const path = target.split(/[?#]/, 1)[0] ?? "";
      const covers = (prefix: string) =>
        path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
      return longestFirst.find((entry) => isHostOf(entry.resource, host) && covers(entry.path))?.url;
    },
  };
}

function documentOf({ resource, authorizationServers, scopes }: ResourceConfig, issuers: readonly string[]): string {
  return JSON.stringify({
    resource,
    authorization_servers: authorizationServers ?? [...new Set(issuers)],
    scopes_supported: scopes,
    bearer_methods_supported: ["header"],
  });
}
