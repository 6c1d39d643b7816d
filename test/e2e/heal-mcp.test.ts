import { expect, test } from "vitest";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";

const { use } = resources();

/** The real Envoy with the filters of envoy-heal.yaml in front of an MCP server that may reject live tokens. */
async function install() {
  const rejected = new Set<string>();
  const seen: string[] = [];
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const as = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const accepts = async (token: string) => {
    seen.push(token);
    return !rejected.has(token) && (await provider.isActive(token));
  };
  const mcp = await use(startMcpServer({ accepts }));
  const connect = { scope: "openid offline_access", parameters: { prompt: "consent" } };
  const client = { clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const config = {
    sessions: [{ jwt: { issuer: as.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub" } }],
    upstreams: { crm: { issuer: provider.issuer, ...client, connect } },
    connect: { publicUrl, login: { jwt: { clientId: as.client.id, clientSecret: "${env:SECRET}" } } },
    heal: {},
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret } }));
  const setup = {
    ...{ service: service.grpc, upstreamPort: mcp.port, upstream: "crm", port, heals: true },
    contextExtensions: { mcp: "true" },
    checkSettings: { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } },
  };
  await use(startEnvoy({ config: envoyConfig(setup) }));
  const headersOf = async (session: string) => {
    const claims = { iss: as.issuer, aud: "gateway", tsid: session, sub: "user-1" };
    const authorization = `Bearer ${await keys.sign(claims, { expiresIn: 3_600 })}`;
    return { authorization, "content-type": "application/json", accept: "application/json, text/event-stream" };
  };
  const send = async (session: string, body: object) =>
    fetch(`${publicUrl}/mcp`, { method: "POST", headers: await headersOf(session), body: JSON.stringify(body) });
  /** The session's user opens the address in a message, and logs in wherever it leads. */
  const open = async (message: string) => {
    const [url = ""] = /https?:[^\s"]+/.exec(message) ?? [];
    const page = await createHttpBrowser().visit(url, (next) => {
      if (next.pathname === "/auth") next.searchParams.set("login_hint", "user-1");
    });
    expect([page.status, page.body]).toEqual([200, expect.stringContaining("crm is connected")]);
  };

  return {
    provider,
    /** The MCP server no longer takes the token that it got last. */
    rejectLast: () => void rejected.add(seen.at(-1) ?? ""),
    send,
    open,
    /** A session whose account is connected, and whose token the server has taken once. */
    async begin(session: string) {
      await open(await (await send(session, initialize)).text());
      expect((await send(session, initialize)).status).toBe(200);
    },
  };
}

const call = { jsonrpc: "2.0", id: "call-1", method: "tools/call", params: { name: "contacts", arguments: {} } };
const initialize = {
  ...{ jsonrpc: "2.0", id: 1, method: "initialize" },
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
};

test("an MCP call whose token the server rejects is healed in the same request", async () => {
  const { provider, rejectLast, begin, send } = await install();
  await begin("session-1");
  rejectLast();
  const healed = await send("session-1", call);
  expect([healed.status, await healed.text()]).toEqual([200, expect.stringContaining("Ada, Grace")]);
  expect(provider.refreshes()).toHaveLength(1);
});

test("where the provider has ended the grant too, the client gets MCP's own words for its request, with the address", async () => {
  const { provider, rejectLast, begin, send, open } = await install();
  await begin("session-1");
  rejectLast();
  provider.failNext(400, {}, { error: "invalid_grant" });
  const answer = await send("session-1", call);
  const text = await answer.text();
  expect([answer.status, JSON.parse(text)]).toMatchObject([200, { id: "call-1", result: { isError: true } }]);
  await open(text);
  expect(await (await send("session-1", call)).text()).toContain("Ada, Grace");
});
