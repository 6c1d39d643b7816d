import {
  Client,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { sendJson, startHttpServer } from "./http-servers.ts";
import { visitAsBrowser } from "./oidc-login.ts";
import { startOidcMcpServer } from "./oidc-mcp-server.ts";
import { resources } from "./resources.ts";
import { startSdkMcpServer } from "./sdk-mcp-server.ts";
import { startWorkersMcpServer } from "./workers-mcp-server.ts";

const { use } = resources();

const redirectUri = "http://127.0.0.1:1/callback";
const clientMetadata = {
  client_name: "test",
  redirect_uris: [redirectUri],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
  token_endpoint_auth_method: "none",
};
const documentId = "https://client.example.com/client.json";

/** Logs in as the official client does, and calls the tool: whatever it needs, the server has. */
async function callAsOfficialClient(url: string, clientMetadataUrl?: string) {
  let client: StoredOAuthClientInformation | undefined;
  let tokens: StoredOAuthTokens | undefined;
  let verifier = "";
  let leadsTo: URL | undefined;
  let discovered: OAuthDiscoveryState | undefined;
  const provider: OAuthClientProvider = {
    redirectUrl: redirectUri,
    clientMetadata: { ...clientMetadata, scope: "mcp offline_access" },
    ...(clientMetadataUrl === undefined ? {} : { clientMetadataUrl }),
    clientInformation: () => client,
    saveClientInformation: (saved) => void (client = saved),
    tokens: () => tokens,
    saveTokens: (saved) => void (tokens = saved),
    redirectToAuthorization: (to) => void (leadsTo = to),
    saveCodeVerifier: (saved) => void (verifier = saved),
    codeVerifier: () => verifier,
    saveDiscoveryState: (saved) => void (discovered = saved),
    discoveryState: () => discovered,
  };
  const connect = async () => {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
    const caller = new Client({ name: "test", version: "1" });
    await caller.connect(transport).catch(async (error: unknown) => {
      if (!(error instanceof UnauthorizedError) || leadsTo === undefined) throw error;
      leadsTo.searchParams.set("prompt", "consent");
      await transport.finishAuth((await visitAsBrowser(leadsTo.href)).searchParams);
    });
    return caller;
  };
  await connect();
  const caller = await connect();
  const { content } = await caller.callTool({ name: "contacts", arguments: {} });
  await caller.close();
  return { content, clientId: client?.client_id, resource: leadsTo?.searchParams.get("resource"), tokens };
}

/** Where the client's document is. */
async function documentServer() {
  const asked: string[] = [];
  const { url } = await use(
    startHttpServer((request, response) => {
      asked.push(`${request.headers.host}${request.url}`);
      sendJson(response, 200, { client_id: documentId, ...clientMetadata });
    }),
  );
  return { url, asked };
}

const answer = [{ type: "text", text: "Ada, Grace" }];

test("oidc-provider lets clients register, with tokens for the MCP server alone", async () => {
  const server = await use(startOidcMcpServer({ registers: true }));
  const { content, clientId, resource, tokens } = await callAsOfficialClient(server.url);
  expect([content, resource, server.calls]).toEqual([answer, server.url, ["contacts"]]);
  expect(server.oidc.registered).toMatchObject([{ client_id: clientId, redirect_uris: [redirectUri] }]);
  expect(await server.oidc.audienceOf(tokens?.access_token ?? "")).toBe(server.url);

  const body = { grant_type: "refresh_token", refresh_token: tokens?.refresh_token ?? "", client_id: clientId ?? "" };
  const refresh = () => fetch(server.oidc.tokenEndpoint, { method: "POST", body: new URLSearchParams(body) });
  const refreshed = (await (await refresh()).json()) as { access_token: string };
  expect(await server.oidc.audienceOf(refreshed.access_token)).toBe(server.url);
  await server.oidc.forget(clientId ?? "");
  expect(await (await refresh()).json()).toMatchObject({ error: "invalid_client" });
});

test("oidc-provider takes a client by its document", async () => {
  const documents = await documentServer();
  const server = await use(startOidcMcpServer({ clientDocumentsAt: documents.url }));
  const { content, clientId } = await callAsOfficialClient(server.url, documentId);
  expect([content, clientId]).toEqual([answer, documentId]);
  expect(documents.asked).toEqual(["client.example.com/client.json"]);
  expect(server.oidc.registered).toEqual([]);
});

test("the official SDK's server lets clients register", async () => {
  const server = await use(startSdkMcpServer());
  const { content, clientId, resource } = await callAsOfficialClient(server.url);
  expect([content, resource, server.calls]).toEqual([answer, server.url, ["contacts"]]);
  expect([...server.clients.keys()]).toEqual([clientId]);
  expect(server.resources).toEqual(["authorize", "code"].map((at) => ({ at, resource: server.url })));
});

test("the Workers' provider lets clients register", async () => {
  const server = await use(startWorkersMcpServer());
  const { content, clientId, tokens } = await callAsOfficialClient(server.url);
  expect(content).toEqual(answer);
  expect(await server.counts()).toEqual({ logins: 1, calls: 1, clients: [clientId] });
  expect(tokens?.refresh_token).toBeDefined();
  await server.forget(clientId ?? "");
  expect((await server.counts()).clients).toEqual([]);
});

test("the Workers' provider takes a client by its document", async () => {
  const documents = await documentServer();
  const server = await use(startWorkersMcpServer({ registers: false, clientDocumentsAt: documents.url }));
  const { content, clientId } = await callAsOfficialClient(server.url, documentId);
  expect([content, clientId]).toEqual([answer, documentId]);
  expect(documents.asked).toContain("client.example.com/client.json");
  expect((await server.counts()).clients).toEqual([]);
});
