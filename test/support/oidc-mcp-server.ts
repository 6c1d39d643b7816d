import { type McpServerProcess, startMcpServer } from "./mcp-server.ts";
import { type OidcServer, type OidcServerOptions, resourceScope, startOidcServer } from "./oidc-server.ts";
import { freePort } from "./redis-server.ts";

export interface OidcMcpServer extends McpServerProcess {
  readonly oidc: OidcServer;
}

/**
 * An MCP server on one port, made with the official package, and oidc-provider on another, which issues tokens for it
 * alone (RFC 8707). With `registers` or `clientDocumentsAt` clients need not be known there.
 */
export async function startOidcMcpServer(options: OidcServerOptions = {}): Promise<OidcMcpServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const oidc = await startOidcServer({ ...options, resources: [url, ...(options.resources ?? [])] });
  const accepts = async (token: string) => (await oidc.audienceOf(token)) === url;
  const mcp = await startMcpServer({ accepts, issuer: oidc.issuer, scopes: [resourceScope], port });
  return {
    ...mcp,
    oidc,
    async stop() {
      await mcp.stop();
      await oidc.stop();
    },
  };
}
