import { Client, StreamableHTTPClientTransport, UrlElicitationRequiredError } from "@modelcontextprotocol/client";
import { Client as EarlierClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as EarlierTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { beforeAll, describe, expect, test } from "vitest";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { type McpServerProcess, startMcpServer } from "../support/mcp-server.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";

const { use } = resources("file");

interface Installation {
  readonly publicUrl: string;
  readonly provider: OidcServer;
  readonly as: OidcServer;
  readonly mcp: McpServerProcess;
  readonly clock: ShiftedClock;
  /** An MCP client of a session, through Envoy. */
  connect(
    session: string,
    revision: "2026-07-28" | "auto" | "legacy",
    onUrl: (url: string) => Promise<"accept" | "decline">,
  ): Promise<Client>;
  /** The session's user opens a link, and logs in wherever it leads. */
  open(url: string, user?: string): Promise<{ readonly status: number; readonly body: string }>;
  /** The same with version 1 of the official package. */
  connectEarlier(session: string): Promise<EarlierClient>;
  /** What a client meets first that has no account: it cannot begin, and its user reads where to connect one. */
  firstConnect(session: string): Promise<void>;
  /** One JSON-RPC message, past any client. */
  send(session: string, body: object, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

/** The real Envoy in front of an MCP server, with the body of requests passed to bearerswap on this route. */
async function install({ assumeUrlElicitation = true } = {}): Promise<Installation> {
  const clock = shiftedClock();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const as = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const mcp = await use(startMcpServer({ accepts: provider.isActive }));
  const grants = { scope: "openid offline_access", parameters: { prompt: "consent" } };
  const config = {
    sessions: [{ jwt: { issuer: as.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub" } }],
    upstreams: {
      crm: { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}", connect: grants },
    },
    connect: {
      publicUrl,
      login: { jwt: { clientId: as.client.id, clientSecret: "${env:SECRET}" } },
      resources: [{ resource: `${publicUrl}/mcp` }],
      assumeUrlElicitation,
    },
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret }, clock }));
  const setup = {
    ...{ service: service.grpc, upstreamPort: mcp.port, upstream: "crm", port },
    contextExtensions: { mcp: "true" },
    checkSettings: { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } },
  };
  await use(startEnvoy({ config: envoyConfig(setup) }));
  const tokenOf = (session: string) =>
    keys.sign({ iss: as.issuer, aud: "gateway", tsid: session, sub: "user-1" }, { expiresIn: 86_400 });
  const open: Installation["open"] = (url, user = "user-1") =>
    createHttpBrowser().visit(url, (next) => {
      if (next.pathname === "/auth") next.searchParams.set("login_hint", user);
    });

  async function connect(...[session, revision, onUrl]: Parameters<Installation["connect"]>): Promise<Client> {
    const versionNegotiation = { mode: revision === "2026-07-28" ? { pin: revision } : revision };
    const client = new Client(
      { name: "test", version: "1" },
      { versionNegotiation, capabilities: { elicitation: { url: {} } } },
    );
    client.setRequestHandler("elicitation/create", async ({ params }) => ({
      action: await onUrl("url" in params ? params.url : ""),
    }));
    const requestInit = { headers: { authorization: `Bearer ${await tokenOf(session)}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${publicUrl}/mcp`), { requestInit }));
    await use(client);
    return client;
  }

  const send: Installation["send"] = async (session, body, headers = {}) =>
    fetch(`${publicUrl}/mcp`, {
      method: "POST",
      headers: { authorization: `Bearer ${await tokenOf(session)}`, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });

  return {
    publicUrl,
    provider,
    as,
    mcp,
    clock,
    open,
    connect,
    async connectEarlier(session) {
      const client = new EarlierClient({ name: "test", version: "1" });
      const headers = { authorization: `Bearer ${await tokenOf(session)}` };
      await client.connect(new EarlierTransport(new URL(`${publicUrl}/mcp`), { requestInit: { headers } }));
      await use({ stop: () => client.close() });
      return client;
    },
    send,
    async firstConnect(session) {
      const answer = await send(session, { jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
      const { error } = (await answer.json()) as { readonly error: { readonly message: string } };
      expect((await open(urlIn(error.message))).status).toBe(200);
    },
  };
}

/** The address in what a client shows its user. */
function urlIn(message: string): string {
  const [url] = /https?:\/\/\S+/.exec(message) ?? [];
  if (url === undefined) throw new Error(`there is no address in "${message}"`);
  return url;
}

/**
 * The provider refuses the refresh token, and the access token is at its end: the account has to be connected again.
 */
function lose({ provider, clock }: Installation): void {
  provider.failNext(400, {}, { error: "invalid_grant" });
  clock.shift(3_700_000);
}

const contacts = { name: "contacts", arguments: {} };
const listed = expect.objectContaining({ content: [{ type: "text", text: "Ada, Grace" }] });

describe("the official MCP client, through Envoy", () => {
  let world: Installation;
  beforeAll(async () => {
    world = await install();
  });

  test("of revision 2026-07-28 opens the page on being asked, and its call goes on by itself", async () => {
    await world.firstConnect("session-1");
    const opened: { readonly status: number; readonly body: string }[] = [];
    const client = await world.connect("session-1", "2026-07-28", async (url) => {
      opened.push(await world.open(url));
      return "accept";
    });
    expect(await client.callTool(contacts)).toEqual(listed);
    lose(world);
    expect(await client.callTool(contacts)).toEqual(listed);
    expect(opened).toEqual([
      expect.objectContaining({ status: 200, body: expect.stringContaining("crm is connected") }),
    ]);
  });

  test.each(["auto", "legacy", "2026-07-28"] as const)(
    "of revision %s shows the address at its first contact; once the account is connected it begins",
    async (mode) => {
      const onUrl = async () => "decline" as const;
      const refused: unknown = await world.connect(`first-${mode}`, mode, onUrl).catch((thrown: unknown) => thrown);
      expect((await world.open(urlIn(String(refused)))).status).toBe(200);
      expect(await (await world.connect(`first-${mode}`, mode, onUrl)).callTool(contacts)).toEqual(listed);
    },
  );

  test("whose user declines is not asked again: the tool's result says where the account is connected", async () => {
    await world.firstConnect("session-2");
    let asked = 0;
    const client = await world.connect("session-2", "2026-07-28", async () => {
      asked++;
      return "decline";
    });
    lose(world);
    const result = await client.callTool(contacts);
    expect([asked, result]).toMatchObject([
      1,
      { isError: true, content: [{ text: expect.stringMatching(/connect\/crm/) }] },
    ]);
  });

  test("of revision 2025-11-25 learns the address from the error, and the next call goes through", async () => {
    await world.firstConnect("session-3");
    const client = await world.connect("session-3", "legacy", async () => "accept");
    expect(await client.callTool(contacts)).toEqual(listed);
    lose(world);
    const error = await client.callTool(contacts).catch((thrown: unknown) => thrown);
    if (!(error instanceof UrlElicitationRequiredError))
      throw new Error("the client does not take the error for a request to open a page", { cause: error });
    const [{ url = "" } = {}] = error.elicitations;
    expect((await world.open(url, "somebody-else")).status).toBe(403);
    expect((await world.open(url)).status).toBe(200);
    expect(await client.callTool(contacts)).toEqual(listed);
  });

  test("with a request longer than Envoy passes on is refused with the address: the part is not read", async () => {
    await world.firstConnect("session-4");
    const client = await world.connect("session-4", "2026-07-28", async () => "accept");
    lose(world);
    await expect(client.callTool({ name: "contacts", arguments: { padding: "x".repeat(70_000) } })).rejects.toThrow();
    const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { padding: "x".repeat(70_000) } };
    const refused = await world.send("session-4", body);
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { message: expect.stringContaining("/connect/crm?ticket=") } },
    ]);
  });

  test("gets its answers as Envoy passes them on: an event, a notification taken, a method refused", async () => {
    const event = await world.send(
      "nobody",
      { jsonrpc: "2.0", id: 1, method: "tools/list" },
      { accept: "text/event-stream" },
    );
    expect([event.status, event.headers.get("content-type"), await event.text()]).toEqual([
      200,
      "text/event-stream",
      expect.stringMatching(/^event: message\ndata: \{"jsonrpc":"2\.0","id":1,"error":/),
    ]);
    const taken = await world.send("nobody", { jsonrpc: "2.0", method: "notifications/cancelled" });
    expect([taken.status, await taken.text()]).toEqual([202, ""]);
  });

  test("finds the resource's metadata where the 401 says", async () => {
    const metadata = await (await fetch(`${world.publicUrl}/.well-known/oauth-protected-resource/mcp`)).json();
    expect(metadata).toMatchObject({ resource: `${world.publicUrl}/mcp`, authorization_servers: [world.as.issuer] });
  });
});

describe("version 1 of the official MCP client, which opens no URLs, through Envoy", () => {
  let world: Installation;
  beforeAll(async () => {
    world = await install({ assumeUrlElicitation: false });
  });

  test("shows the address at its first contact, and calls once the account is connected", async () => {
    const refused: unknown = await world.connectEarlier("first").catch((thrown: unknown) => thrown);
    expect((await world.open(urlIn(String(refused)))).status).toBe(200);
    expect(await (await world.connectEarlier("first")).callTool(contacts)).toEqual(listed);
  });

  test("that loses its account reads the address in the tool's result, and the same client goes on after the login", async () => {
    await world.firstConnect("loser");
    const client = await world.connectEarlier("loser");
    lose(world);
    const result = await client.callTool(contacts);
    expect(result).toMatchObject({ isError: true, content: [{ type: "text" }] });
    expect((await world.open(urlIn(JSON.stringify(result)))).status).toBe(200);
    expect(await client.callTool(contacts)).toEqual(listed);
  });
});
