import { BearerswapError } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { foreignText } from "../platform/foreign-text.ts";
import { findIssuer, type IssuerMetadata, isSameIssuer } from "./mcp-issuer.ts";
import { findResource } from "./mcp-resource.ts";

/** What is known of an MCP server's authorization. */
export interface McpServer {
  /**
   * The value of `resource` (RFC 8707), by which tokens are for this server alone: the configured URL or a part of it.
   * Undefined where the server has no metadata, as in revision 2025-03-26, which knows no `resource`.
   */
  readonly resource?: string | undefined;
  /** The scopes to ask for; undefined where the server does not say. */
  readonly scopes?: readonly string[] | undefined;
  readonly metadata: IssuerMetadata;
  /** What was tried before and did not work, in words. */
  readonly misses: readonly string[];
}

export interface McpDiscoveryDeps {
  /** Connects to public addresses only, but for the configured server. */
  readonly fetch: HttpFetch;
  /** The operator allows plain http also off this machine. */
  readonly allowInsecure: boolean;
  /** Of one request. All together take at most three times that. */
  readonly timeoutMs: number;
  /**
   * The authorization server to take, if the MCP server names it: it alone, even if it does not answer now. Without it,
   * or if it is named no more, the first that can be used.
   */
  readonly issuer?: string | undefined;
  /** The one authorization server that may be taken at all, by the operator's word. */
  readonly only?: string | undefined;
}

/** More authorization servers of one MCP server than anybody needs. */
const mostIssuers = 5;

/**
 * Finds out how to log in at an MCP server, as its authorization specification has it: resource metadata (RFC 9728),
 * then the metadata of the first authorization server that can be used. Throws what was wrong in each place.
 * @param url the MCP server's, as configured
 */
export async function discoverMcpServer(url: string, deps: McpDiscoveryDeps): Promise<McpServer> {
  const { fetch, allowInsecure, timeoutMs, only, issuer: wanted } = deps;
  const from = { configured: url, allowInsecure };
  const request = { fetch, timeoutMs, signal: AbortSignal.timeout(3 * timeoutMs) };
  const found = await findResource(from, request);
  if (!("authorizationServers" in found)) throw unusable(url, found.misses);
  const { resource, scopes, authorizationServers, misses } = found;
  const problems = [...misses];
  const announced = (issuer = "") => authorizationServers.find((one) => isSameIssuer(issuer, one));
  if (only !== undefined && announced(only) === undefined)
    throw unusable(url, [
      ...problems,
      `it names ${listed(authorizationServers)}, and not the configured issuer ${only}`,
    ]);
  const named = announced(only ?? wanted);
  for (const issuer of named === undefined ? authorizationServers.slice(0, mostIssuers) : [named]) {
    const answer = await findIssuer(issuer, from, request);
    if ("metadata" in answer) return { resource, scopes, metadata: answer.metadata, misses: problems };
    problems.push(...answer.misses);
  }
  throw unusable(url, problems);
}

function listed(issuers: readonly string[]): string {
  return issuers
    .slice(0, mostIssuers)
    .map((issuer) => `"${foreignText(issuer)}"`)
    .join(", ");
}

function unusable(url: string, problems: readonly string[]): BearerswapError {
  const text = `how to log in at the MCP server ${url} cannot be found out: ${problems.join("; ")}`;
  return new BearerswapError("discovery", text);
}
