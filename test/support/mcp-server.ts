import { setTimeout as sleep } from "node:timers/promises";
import {
  bearerAuthChallengeResponse,
  createMcpHandler,
  getOAuthProtectedResourceMetadataUrl,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  type OAuthMetadata,
  oauthMetadataResponse,
} from "@modelcontextprotocol/server";
import { type HttpResponse, type HttpServer, sendJson, startHttpServer } from "./http-servers.ts";
import { answerWith, webRequest } from "./web-handler.ts";

export interface McpServerProcess {
  readonly port: number;
  /** Where it is, and its name as a resource. */
  readonly url: string;
  /** Names of the tools that were called, oldest first. */
  readonly calls: readonly string[];
  stop(): Promise<void>;
}

/** What its one tool, `contacts`, answers. */
export const calledTool = "Ada, Grace";

/** An MCP server of both eras, made with the official package, that takes only bearers it is told to accept. */
export async function startMcpServer({
  accepts,
  lacks = async () => undefined,
  silenceMs,
  issuer,
  scopes,
  port = 0,
}: {
  accepts: (token: string) => Promise<boolean>;
  /** The scope that this token lacks for this message, which is then answered 403; default none. */
  lacks?: (token: string, message: string) => Promise<string | undefined>;
  /** GET is then answered with a stream that says something twice, with so long between. Without it GET gets 405. */
  silenceMs?: number;
  /** The server that issues its tokens, as its metadata and its 401s say (RFC 9728). Without one it has no metadata. */
  issuer?: string;
  /** Those that its metadata name. */
  scopes?: string[];
  port?: number;
}): Promise<McpServerProcess> {
  const calls: string[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: "crm", version: "1" });
    server.registerTool("contacts", { description: "Lists contacts" }, () => {
      calls.push("contacts");
      return { content: [{ type: "text", text: calledTool }] };
    });
    return server;
  });

  const oauthMetadata = issuer === undefined ? undefined : await metadataOf(issuer);
  const server: HttpServer = await startHttpServer(
    async (request, response) => {
      if (oauthMetadata !== undefined && request.url?.startsWith("/.well-known/")) {
        const options = {
          oauthMetadata,
          resourceServerUrl: new URL(mcpUrl()),
          ...(scopes && { scopesSupported: scopes }),
        };
        const found = oauthMetadataResponse(new Request(`${server.url}${request.url}`), options);
        return answerWith(response, found ?? new Response(null, { status: 404 }));
      }
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
      if (token === undefined || !(await accepts(token))) return refuse(response);
      if (request.method === "GET" && silenceMs !== undefined) return stream(response, silenceMs);
      const message = await webRequest(request);
      const lacking = await lacks(token, await message.clone().text());
      if (lacking !== undefined) return sendJson(response, 403, { error: "forbidden" }, scopeChallenge(lacking));
      return answerWith(response, await handler.fetch(message));
    },
    { port },
  );
  return { port: server.port, url: mcpUrl(), calls, stop: server.stop };

  function mcpUrl(): string {
    return `${server.url}/mcp`;
  }

  function refuse(response: HttpResponse): unknown {
    if (oauthMetadata === undefined) return sendJson(response, 401, { error: "invalid_token" });
    const error = new OAuthError(OAuthErrorCode.InvalidToken, "no token of this server's");
    const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(new URL(mcpUrl()));
    return answerWith(response, bearerAuthChallengeResponse(error, { resourceMetadataUrl }));
  }
}

/** How a vendor's API says that a token lacks a scope, and where it would have the client go for another. */
export function scopeChallenge(scope: string): Readonly<Record<string, string>> {
  const metadata = "https://vendor.example/.well-known/oauth-protected-resource";
  return {
    "www-authenticate": `Bearer error="insufficient_scope", scope="${scope}", resource_metadata="${metadata}"`,
  };
}

async function metadataOf(issuer: string): Promise<OAuthMetadata> {
  const response = await fetch(`${issuer}/.well-known/openid-configuration`);
  return (await response.json()) as OAuthMetadata;
}

async function stream(response: HttpResponse, silenceMs: number): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: first\n\n");
  await sleep(silenceMs);
  response.end("data: last\n\n");
}
