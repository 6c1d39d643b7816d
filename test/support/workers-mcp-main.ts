/** The process of `startWorkersMcpServer`. Its one argument is its options, as JSON. */
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { sendJson, startHttpServer } from "./http-servers.ts";
import { answerWith, webRequest } from "./web-handler.ts";
import { createKeyValues, installWorkersRuntime } from "./workers-runtime.ts";

interface Options {
  readonly accessTokenLifeSeconds: number;
  readonly registers: boolean;
  readonly clientDocumentsAt?: string;
}

/** What of the package's helpers the login page uses. */
interface Env {
  readonly OAUTH_KV: ReturnType<typeof createKeyValues>;
  readonly OAUTH_PROVIDER: {
    parseAuthRequest(request: Request): Promise<{ readonly scope: string[]; readonly clientId: string }>;
    completeAuthorization(options: object): Promise<{ readonly redirectTo: string }>;
  };
}

const { accessTokenLifeSeconds, registers, clientDocumentsAt } = JSON.parse(process.argv[2] ?? "{}") as Options;
installWorkersRuntime(clientDocumentsAt);
const { OAuthProvider } = await import("@cloudflare/workers-oauth-provider");

const counts = { logins: 0, calls: 0 };
const contacts = createMcpHandler(() => {
  const server = new McpServer({ name: "crm", version: "1" });
  server.registerTool("contacts", { description: "Lists contacts" }, () => {
    counts.calls++;
    return { content: [{ type: "text", text: "Ada, Grace" }] };
  });
  return server;
});

/** Approves every user unasked. */
async function authorize(request: Request, { OAUTH_PROVIDER: helpers }: Env): Promise<Response> {
  const authorization = await helpers.parseAuthRequest(request);
  counts.logins++;
  const { redirectTo } = await helpers.completeAuthorization({
    request: authorization,
    userId: "user-1",
    metadata: {},
    scope: authorization.scope,
    props: {},
  });
  return Response.redirect(redirectTo, 302);
}

const keyValues = createKeyValues();
const server = await startHttpServer(async (request, response) => {
  if (request.url === "/counts") {
    const { keys } = await keyValues.list({ prefix: "client:" });
    return sendJson(response, 200, { ...counts, clients: keys.map(({ name }) => name.slice("client:".length)) });
  }
  if (request.method === "DELETE" && request.url?.startsWith("/clients/")) {
    await keyValues.delete(`client:${request.url.slice("/clients/".length)}`);
    return sendJson(response, 200, {});
  }
  const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
  const web = await webRequest(request, server.url);
  return answerWith(response, await provider.fetch(web, { OAUTH_KV: keyValues } as never, context as never));
});
const provider = new OAuthProvider<Env>({
  apiRoute: "/mcp",
  apiHandler: { fetch: (request: Request) => contacts.fetch(request) } as never,
  defaultHandler: { fetch: authorize } as never,
  authorizeEndpoint: "/authorize",
  tokenEndpoint: "/oauth/token",
  accessTokenTTL: accessTokenLifeSeconds,
  scopesSupported: ["mcp", "offline_access"],
  requiredScopes: ["mcp"],
  resourceMetadata: { resource: `${server.url}/mcp` },
  clientIdMetadataDocumentEnabled: clientDocumentsAt !== undefined,
  ...(registers ? { clientRegistrationEndpoint: "/oauth/register" } : {}),
} as never);
console.log(`listening on ${server.url}`);
