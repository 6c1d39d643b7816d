import { z } from "zod";
import { parseChallenges } from "../platform/challenges.ts";
import { fetchProblem } from "../platform/discovery.ts";
import { foreignText } from "../platform/foreign-text.ts";
import type { JsonObject } from "../platform/json-object.ts";
import { version } from "../platform/version.ts";
import { isUsable, type LearntFrom } from "./learnt-url.ts";
import { isPassing, type MetadataRequestDeps, requestMetadata } from "./metadata-request.ts";

/** What is known of an MCP server as an OAuth resource (RFC 9728). */
export interface McpResource {
  /** The resource's own name for itself; undefined where it has no metadata. */
  readonly resource?: string | undefined;
  /** What to ask for: the challenge's scope, else what the metadata list. */
  readonly scopes?: readonly string[] | undefined;
  /** Issuers, in the order in which they are tried. */
  readonly authorizationServers: readonly string[];
  /** What was tried for the metadata without success, in words. */
  readonly misses: readonly string[];
}

/** That the metadata cannot be had or used; each miss in words. */
export interface NoMcpResource {
  readonly misses: readonly string[];
}

const wellKnown = "/.well-known/oauth-protected-resource";

/** A JSON-RPC request as a client begins with. It takes part in nothing: without a token it is answered 401. */
const initialize = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bearerswap", version } },
});

/**
 * The MCP server's resource metadata: those that its 401 names, else those at the well-known paths, with the server's
 * path and without. A server of revision 2025-03-26 has none: then its own origin is its authorization server. That is
 * concluded only where every address has answered, so that no failure makes a server look older than it is.
 */
export async function findResource(from: LearntFrom, deps: MetadataRequestDeps): Promise<McpResource | NoMcpResource> {
  const { origin, pathname, search } = new URL(from.configured);
  const challenged = await askWithoutToken(from.configured, deps);
  if (challenged.isDown) return { misses: challenged.misses };
  const path = pathname === "/" ? "" : pathname;
  const places = [challenged.metadataUrl, `${origin}${wellKnown}${path}${search}`, `${origin}${wellKnown}`];
  const misses = [...challenged.misses];
  let isOpen = challenged.isOpen;
  for (const url of new Set(places.filter((place) => place !== undefined))) {
    const found = await resourceAt(url, from, deps);
    if ("authorizationServers" in found)
      return { ...found, scopes: challenged.scopes ?? found.scopes, misses: [...misses, ...found.misses] };
    misses.push(...found.misses);
    isOpen ||= found.isOpen;
  }
  if (isOpen) return { misses };
  return { scopes: challenged.scopes, authorizationServers: [origin], misses };
}

interface Miss {
  readonly misses: readonly string[];
  /** Whether there may be metadata all the same. */
  readonly isOpen: boolean;
}

interface Challenged extends Miss {
  readonly isDown: boolean;
  readonly metadataUrl?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
}

async function askWithoutToken(url: string, deps: MetadataRequestDeps): Promise<Challenged> {
  const { fetch, timeoutMs, signal } = deps;
  try {
    const { status, headers } = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: initialize,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const said = { isDown: false, isOpen: isPassing(status) };
    if (status !== 401) return { ...said, misses: [`${url} answered a request without a token with HTTP ${status}`] };
    const challenges = parseChallenges(headers.get("www-authenticate") ?? "");
    const named = challenges.find(({ parameters }) => parameters.has("resource_metadata"));
    const metadataUrl = named?.parameters.get("resource_metadata");
    const bearer = named ?? challenges.find(({ scheme }) => scheme === "bearer");
    const scopes = scopesOf(bearer?.parameters.get("scope")?.split(" ") ?? []);
    const misses = metadataUrl === undefined ? [`the 401 of ${url} names no resource_metadata`] : [];
    return { ...said, metadataUrl, scopes, misses };
  } catch (error) {
    return { isDown: true, isOpen: true, misses: [`${url} cannot be asked: ${fetchProblem(error)}`] };
  }
}

const documentShape = z.object({
  resource: z.string(),
  authorization_servers: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()).optional(),
});

async function resourceAt(url: string, from: LearntFrom, deps: MetadataRequestDeps): Promise<McpResource | Miss> {
  if (!isUsable(url, from)) {
    const misses = [`the resource_metadata ${foreignText(url)} cannot be used: it is no https URL`];
    return { misses, isOpen: true };
  }
  const answer = await requestMetadata(url, deps);
  if (answer.kind !== "found") return { misses: [answer.why], isOpen: answer.kind === "broken" };
  return readResource(url, answer.document, from.configured);
}

/** A document that is there and wrong never makes a server look as if it had none. */
function readResource(url: string, document: JsonObject, configured: string): McpResource | Miss {
  const { data } = documentShape.safeParse(document);
  if (data === undefined) return { misses: [`${url} is no resource metadata (RFC 9728)`], isOpen: true };
  const { resource, authorization_servers: servers = [], scopes_supported: scopes = [] } = data;
  if (!covers(resource, configured)) {
    const misses = [`${url} is about another resource, "${foreignText(resource)}", and not about ${configured}`];
    return { misses, isOpen: true };
  }
  const authorizationServers = servers.length === 0 ? [new URL(configured).origin] : servers;
  return { resource, scopes: scopesOf(scopes), authorizationServers, misses: [] };
}

/**
 * Whether a resource is the configured URL, or a part of its path from the root on. RFC 9728 §3.3 wants them equal; many
 * servers name their origin, and the official SDKs take that. Another origin is never taken: its tokens would be somebody
 * else's.
 */
function covers(resource: string, configured: string): boolean {
  const [of, at] = [URL.parse(resource), new URL(configured)];
  if (of === null || of.origin !== at.origin || resource.includes("#") || (of.search !== "" && of.search !== at.search))
    return false;
  const withSlash = (path: string) => (path.endsWith("/") ? path : `${path}/`);
  return withSlash(at.pathname).startsWith(withSlash(of.pathname));
}

const mostScopes = 100;

/** Those that are scopes by RFC 6749 §3.3; undefined if there are none. */
function scopesOf(scopes: readonly string[]): readonly string[] | undefined {
  const valid = scopes.filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(scope)).slice(0, mostScopes);
  return valid.length === 0 ? undefined : valid;
}
