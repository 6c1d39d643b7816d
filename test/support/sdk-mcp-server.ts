import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import {
  createOAuthMetadata,
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthRouter,
} from "@modelcontextprotocol/sdk/server/auth/router.js";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { type HttpRequest, type HttpResponse, type HttpServer, startHttpServer } from "./http-servers.ts";
import { createSdkOAuthProvider, type SdkOAuthOptions, type SdkOAuthProvider } from "./sdk-oauth-provider.ts";

export interface SdkMcpServer extends Pick<SdkOAuthProvider, "clients" | "tokens" | "resources"> {
  /** The MCP server's own. */
  readonly url: string;
  readonly port: number;
  /** As the metadata have it: with a slash at its end, which the MCP server's origin has not. */
  readonly issuer: string;
  /** Names of the tools that were called, oldest first. */
  readonly calls: readonly string[];
  stop(): Promise<void>;
}

export interface SdkMcpServerOptions extends SdkOAuthOptions {
  readonly port?: number;
  readonly scopes?: string[];
}

type ParsedRequest = HttpRequest & { readonly body?: unknown };

/**
 * An MCP server and its authorization server on one port, both of the official SDK 1.x: clients register themselves
 * (RFC 7591), or name a document, and every user is approved unasked.
 */
export async function startSdkMcpServer({
  port = 0,
  scopes = ["mcp"],
  ...options
}: SdkMcpServerOptions = {}): Promise<SdkMcpServer> {
  const calls: string[] = [];
  const provider = createSdkOAuthProvider(options);
  const app = createMcpExpressApp();
  const server: HttpServer = await startHttpServer(app, { port });
  const url = `${server.url}/mcp`;
  const issuerUrl = new URL(server.url);
  const unlimited = { rateLimit: false } as const;
  if (options.readsDocuments)
    app.get(
      "/.well-known/oauth-authorization-server",
      (_request: HttpRequest, response: { json(body: object): void }) => {
        const metadata = createOAuthMetadata({ provider, issuerUrl, scopesSupported: scopes });
        response.json({ ...metadata, client_id_metadata_document_supported: true });
      },
    );
  app.use(
    mcpAuthRouter({
      provider,
      issuerUrl,
      resourceServerUrl: new URL(url),
      scopesSupported: scopes,
      authorizationOptions: unlimited,
      tokenOptions: unlimited,
      clientRegistrationOptions: unlimited,
      revocationOptions: unlimited,
    }),
  );
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(new URL(url));
  app.use(
    "/mcp",
    requireBearerAuth({ verifier: provider, resourceMetadataUrl }),
    async (request: ParsedRequest, response: HttpResponse) => {
      const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
      await contacts(calls).connect(transport as Parameters<McpServer["connect"]>[0]);
      await transport.handleRequest(request, response, request.body);
    },
  );
  const { clients, tokens, resources } = provider;
  return { url, port: server.port, issuer: issuerUrl.href, calls, clients, tokens, resources, stop: server.stop };
}

function contacts(calls: string[]): McpServer {
  const server = new McpServer({ name: "crm", version: "1" });
  server.registerTool("contacts", { description: "Lists contacts" }, () => {
    calls.push("contacts");
    return { content: [{ type: "text", text: "Ada, Grace" }] };
  });
  return server;
}
