import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Random } from "../platform/random.ts";
import { Secret } from "../platform/secret.ts";
import { wayToClient, withoutClient } from "../providers/mcp-clients.ts";
import { discoverMcpServer, type McpServer } from "../providers/mcp-discovery.ts";
import type { McpProviderConfig } from "../providers/mcp-provider.ts";
import { createMcpServerClient } from "../providers/mcp-server-client.ts";
import { isClientRefusal } from "../providers/outcome.ts";
import { clientDocumentUrl } from "../providers/own-addresses.ts";
import type { OwnClient } from "../providers/own-client.ts";
import type { Finding } from "./finding.ts";

interface McpFindingDeps {
  readonly upstream: string;
  readonly own: OwnClient;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  readonly random: Random;
}

const timeoutMs = 4_000;

/** Whether users can log in at an MCP server, as far as that shows without registering anything. */
export async function mcpFinding(path: string, config: McpProviderConfig, deps: McpFindingDeps): Promise<Finding> {
  const { upstream, own, fetch } = deps;
  const { mcp, allowInsecure } = config;
  let server: McpServer;
  try {
    server = await discoverMcpServer(mcp, { fetch, only: config.issuer, allowInsecure, timeoutMs });
  } catch (error) {
    return { path, kind: "problem", text: messageOf(error) };
  }
  const { issuer } = server.metadata;
  if (config.clientId !== undefined) return configuredFinding(path, server, config, deps);
  const way = wayToClient(server.metadata, { own, allowInsecure });
  switch (way) {
    case "document":
      return { path, kind: "ok", text: `${issuer} reads our client's document at ${clientDocumentUrl(own)}` };
    case "registration":
      return { path, kind: "ok", text: `${issuer} registers clients: ours is registered with the first login` };
    case "none":
      return { path, kind: "problem", text: withoutClient(upstream, server.metadata, own) };
    default:
      return way satisfies never;
  }
}

/** A server that knows the client refuses the made-up refresh token, and not the client. */
async function configuredFinding(
  path: string,
  server: McpServer,
  config: McpProviderConfig,
  { fetch, clock, random }: McpFindingDeps,
): Promise<Finding> {
  const { issuer } = server.metadata;
  const client = { clientId: config.clientId ?? "", clientAuth: config.clientAuth, resource: server.resource };
  const discover = async () => server;
  const provider = createMcpServerClient(server, client, { config, fetch, clock, discover, onRevocation: undefined });
  const refreshToken = new Secret(`bearerswap-check-${random.id()}`);
  const outcome = await provider.refresh({ refreshToken, beforeSend: () => true });
  if (outcome.kind === "refused")
    return {
      path,
      kind: "ok",
      text: `${issuer} takes the client: it refused a made-up refresh token (${outcome.why})`,
    };
  const why = outcome.kind === "tokens" ? "tokens" : outcome.why;
  if (isClientRefusal(outcome))
    return { path, kind: "problem", text: `${issuer} refuses the client: check clientId and its secret (${why})` };
  return { path, kind: "untold", text: `${issuer} is there, and does not tell whether it takes the client (${why})` };
}
