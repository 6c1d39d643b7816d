import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { tokenHash } from "../support/upstream-api.ts";
import { silenceMs, type World } from "./world.ts";

const navigation = { accept: "text/html", "sec-fetch-mode": "navigate" };
export const mcpHeaders = {
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": "contacts",
};
/** Whose browser clients the manifests let in. */
export const ownOrigin = "https://mcp-client.example.com";

/** What users, agents and MCP clients see through a gateway with our manifests, whichever it is. */
export function behavesThroughGateway(world: () => World): void {
  test("swaps the session's JWT for a fresh token of the upstream", async () => {
    const { agent, grant, send, crm } = world();
    await grant("session-swap");
    const headers = await agent("session-swap");

    const answer = await send("/crm/contacts?x=1", {
      headers: { ...headers, cookie: "__Host-bearerswap=x; theme=dark" },
    });

    const [request] = crm.requests.filter(({ path }) => path === "/crm/contacts?x=1");

    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      token: tokenHash(request?.headers.authorization?.slice("Bearer ".length) ?? ""),
    });
    expect(JSON.stringify(request)).not.toContain(headers.authorization?.slice("Bearer ".length));
    expect(request?.headers.cookie).toBe("theme=dark");
  });

  test("waits for a refresh that takes two seconds", async () => {
    const { agent, grant, send, provider } = world();
    await grant("session-slow");
    const headers = await agent("session-slow");
    const gate = provider.hang();
    const beganAt = performance.now();
    const asked = send("/crm/contacts", { headers });
    await gate.arrived();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    gate.release();
    provider.release();

    expect([(await asked).status, performance.now() - beganAt >= 2_000]).toEqual([200, true]);
  });

  test("says in a 401 what is missing and where a client gets it", async () => {
    const { send, agent, publicUrl } = world();
    const missing = await send("/crm/contacts");
    const unconnected = await send("/crm/contacts", { headers: await agent("session-none") });
    const mcp = await send("/mcp", { headers: { ...mcpHeaders, origin: ownOrigin }, body: "{}" });

    expect([missing.status, JSON.parse(missing.body)]).toEqual([
      401,
      expect.objectContaining({ reason: "session_missing" }),
    ]);
    expect([unconnected.status, JSON.parse(unconnected.body)]).toEqual([
      401,
      expect.objectContaining({ connect_url: expect.stringContaining(`${publicUrl}/_bearerswap/connect/crm?ticket=`) }),
    ]);
    expect([mcp.status, mcp.headers["www-authenticate"]]).toEqual([
      401,
      expect.stringContaining(`resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp"`),
    ]);
  });

  test("answers 503 with Retry-After and a body while the provider is down", async () => {
    const { agent, grant, send, provider, crm } = world();
    await grant("session-down");
    provider.failAlways(503);
    const answer = await send("/crm/down", { headers: await agent("session-down") });
    provider.failAlways(undefined);

    expect([answer.status, answer.headers["retry-after"], JSON.parse(answer.body)]).toEqual([
      503,
      expect.stringMatching(/^\d+$/),
      expect.objectContaining({ reason: "unavailable" }),
    ]);
    expect(crm.requests.filter(({ path }) => path === "/crm/down")).toEqual([]);
  });

  test("lets a person connect an account in a browser, whose cookie is a session from then on", async () => {
    const { browser, publicUrl, crm, send } = world();
    const { visit, cookie } = browser();
    const first = await visit(`${publicUrl}/_bearerswap/`);
    const connected = await visit(`${publicUrl}/_bearerswap/connect/crm?return_to=/crm/own`);
    const redirected = await send("/crm/contacts", { headers: navigation });

    expect([first.status, first.body]).toEqual([200, expect.stringContaining('aria-label="Connect: crm"')]);
    expect([connected.status, connected.url]).toEqual([200, `${publicUrl}/crm/own`]);
    expect(cookie(publicUrl, "__Host-bearerswap")).toMatch(/^.{40,}$/);
    expect(
      crm.requests.flatMap(({ path, status, headers }) => (path === "/crm/own" ? [[status, headers.cookie]] : [])),
    ).toEqual([[200, undefined]]);
    expect([redirected.status, redirected.headers.location]).toEqual([
      302,
      `${publicUrl}/_bearerswap/connect/crm?return_to=%2Fcrm%2Fcontacts`,
    ]);
    expect((await visit(`${publicUrl}/_bearerswap/`)).body).toContain('aria-label="Disconnect: crm"');
  });

  test("asks an MCP client's user to open the page, after which the same call goes through", async () => {
    const { browser, publicUrl, agent, wiki, send } = world();
    const headers = await agent("session-mcp");
    const asked = await send("/mcp", { headers: { ...headers, ...mcpHeaders }, body: call("") });
    expect([asked.status, asked.body]).toEqual([200, expect.stringContaining('"resultType":"input_required"')]);
    expect((await browser().visit(linkIn(asked.body))).status).toBe(200);

    const again = await send("/mcp", { headers: { ...headers, ...mcpHeaders }, body: call("") });
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${publicUrl}/mcp`), { requestInit: { headers } }));
    const result = await client.callTool({ name: "contacts", arguments: {} });
    await client.close();

    expect([again.status, again.body]).toEqual([200, expect.stringContaining("Ada, Grace")]);
    expect(result).toMatchObject({ content: [{ type: "text", text: "Ada, Grace" }] });
    expect(wiki.calls).toEqual(["contacts", "contacts"]);
  });

  test("leaves the streams of an MCP server open for longer than Envoy's limit for a request", async () => {
    const { browser, agent, send } = world();
    const headers = { ...(await agent("session-stream")), accept: "text/event-stream" };
    const asked = await send("/mcp", { headers: { ...headers, ...mcpHeaders }, body: call("") });
    await browser().visit(linkIn(asked.body));
    const beganAt = performance.now();

    const stream = await send("/mcp", { headers });

    expect([stream.status, stream.body]).toEqual([200, "data: first\n\ndata: last\n\n"]);
    expect(performance.now() - beganAt).toBeGreaterThan(silenceMs - 100);
  });

  test("tells MCP clients where to get the JWT, with no session and no limit", async () => {
    const { send, publicUrl } = world();
    const metadata = await send("/.well-known/oauth-protected-resource/mcp");
    expect([metadata.status, JSON.parse(metadata.body)]).toEqual([
      200,
      expect.objectContaining({ resource: `${publicUrl}/mcp` }),
    ]);
  });

  test("refuses paths that could be read in two ways", async () => {
    const { agent, grant, send, crm } = world();
    await grant("session-paths");
    const headers = await agent("session-paths");
    const before = crm.requests.length;
    const statusOf = async (path: string) => (await send(path, { headers })).status;

    expect(await Promise.all(["/crm/..%2fmcp", "/crm/a%2Fb", "/crm/%5c..%5cmcp"].map(statusOf))).toEqual([
      400, 400, 400,
    ]);
    expect(crm.requests.length).toBe(before);
  });
}

/** The form's content comes to bearerswap. */
export function takesSecrets(world: () => World): void {
  test("a user enters a secret in the form, and it is kept", async () => {
    const { browser, publicUrl, service } = world();
    const { visit, submit } = browser();
    const page = await submit(await visit(`${publicUrl}/_bearerswap/connect/keys`), { secret: "a-key-of-mine" });
    expect([page.url, page.status]).toEqual([`${publicUrl}/_bearerswap/`, 200]);
    expect(service.events("connected").at(-1)).toMatchObject({ upstream: "keys", secret: true });
  });
}

/** Leaves the world without a limit to spare. */
export function limits(world: () => World): void {
  test("limits how often an address opens the pages, and nothing else", async () => {
    const { send } = world();
    const statuses: (number | undefined)[] = [];
    while (statuses.length < 500 && !statuses.includes(429))
      statuses.push((await send("/_bearerswap/connect/crm", { headers: navigation })).status);
    expect([...new Set(statuses)]).toEqual([302, 429]);
    expect((await send("/.well-known/oauth-protected-resource/mcp")).status).toBe(200);
    expect((await send("/crm/contacts")).status).toBe(401);
  });
}

/** Leaves the world without a service. */
export function failsClosed(world: () => World): void {
  test("answers 503 while bearerswap is stopped, and lets nothing through", async () => {
    const { service, send, crm, agent } = world();
    const before = crm.requests.length;
    await service.stop();
    expect((await send("/crm/contacts", { headers: await agent("session-swap") })).status).toBe(503);
    expect((await send("/mcp", { headers: await agent("session-mcp"), body: "{}" })).status).toBe(503);
    expect(crm.requests.length).toBe(before);
  });
}

/** A tool call of revision 2026-07-28, whose client opens URLs, with so much in its body. */
export function call(padding: string): string {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": { elicitation: { url: {} } },
  };
  const params = { name: "contacts", arguments: { padding }, _meta: meta };
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
}

/** The address that an answer asks the user to open. */
function linkIn(body: string): string {
  const [link] = /http:[^" ]*ticket=[\w-]+/.exec(body) ?? [];
  if (link === undefined) throw new Error(`there is no link in ${body}`);
  return link;
}
