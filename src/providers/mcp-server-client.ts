import type * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { CodeFlow, CodeFlowConfig } from "./code-flow.ts";
import type { UsableClient } from "./mcp-clients.ts";
import type { McpServer } from "./mcp-discovery.ts";
import { createOAuthProvider, type OAuthProviderConfig, type OAuthProviderDeps } from "./oauth-provider.ts";
import type { Provider } from "./provider.ts";

/** An MCP server by its URL, and what is configured beside it. */
export interface McpServerConfig
  extends Omit<OAuthProviderConfig, "issuer" | "tokenEndpoint" | "revocationEndpoint" | "clientId" | "clientAuth"> {
  /** The server's URL. */
  readonly mcp: string;
  readonly connect: CodeFlowConfig;
}

/** A provider whose users can be logged in. */
export interface LoginProvider extends Provider {
  readonly login: CodeFlow;
  readonly revoke: NonNullable<Provider["revoke"]>;
}

interface McpServerClientDeps {
  readonly config: McpServerConfig;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  /** @param isAgain what was found before has stopped working */
  readonly discover: (isAgain: boolean) => Promise<McpServer>;
  readonly onRevocation: OAuthProviderDeps["onRevocation"];
}

/**
 * One of our clients at one authorization server of an MCP server: a standard OAuth client like any other. `resource` is
 * what its tokens are for: of a grant, what that was made for, whatever the server calls itself by now.
 */
export function createMcpServerClient(
  server: McpServer,
  { resource, ...client }: UsableClient & Pick<McpServer, "resource">,
  deps: McpServerClientDeps,
): LoginProvider {
  const { config, fetch, clock, discover, onRevocation } = deps;
  const provider = createOAuthProvider({
    config: {
      ...config,
      ...client,
      issuer: server.metadata.issuer,
      parameters: withResource(config.parameters, resource),
      connect: loginConfig(config.connect, server),
    },
    fetch,
    clock,
    discover: async (isAgain) => (await discover(isAgain)).metadata as openid.ServerMetadata,
    onRevocation,
  });
  return provider as LoginProvider;
}

/** Tokens are asked for this server alone (RFC 8707), unless the operator says for which. */
function withResource(
  parameters: OAuthProviderConfig["parameters"],
  resource: string | undefined,
): OAuthProviderConfig["parameters"] {
  const isStated = parameters.some(([name]) => name === "resource");
  return isStated || resource === undefined ? parameters : [...parameters, ["resource", resource]];
}

/**
 * The scopes that the MCP server names, unless the operator does. OpenID providers give a refresh token for
 * `offline_access`, and take that only with a question to the user (OpenID Connect Core §11).
 */
function loginConfig(config: CodeFlowConfig, { scopes = [], metadata }: McpServer): CodeFlowConfig {
  const offline = metadata.scopes_supported?.includes("offline_access") ? ["offline_access"] : [];
  const found = [...new Set([...scopes, ...offline])].join(" ");
  const scope = config.scope ?? (found === "" ? undefined : found);
  const asksAlways = scope?.split(" ").includes("offline_access") ? { prompt: "consent" } : {};
  return { ...config, scope, pkce: true, parameters: { ...asksAlways, ...config.parameters } };
}
