import { Client, StreamableHTTPClientTransport, UrlElicitationRequiredError } from "@modelcontextprotocol/client";
import { Client as EarlierClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as EarlierTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { beforeAll, describe, expect, test } from "vitest";
import { createHttpBrowser } from "../support/http-browser.ts";
import { calledTool } from "../support/mcp-server.ts";
import { resources } from "../support/resources.ts";
import { type StepUpWorld, startStepUpWorld } from "./step-up-world.ts";

const tracked = resources("file");
const { use } = tracked;
const contacts = { name: "contacts", arguments: {} };
const listed = expect.objectContaining({ content: [{ type: "text", text: calledTool }] });
const initialize = {
  ...{ jsonrpc: "2.0", id: 1, method: "initialize" },
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
};
const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: contacts };

describe("an MCP server that wants another scope for a call, through Envoy", () => {
  let world: StepUpWorld;
  beforeAll(async () => {
    world = await startStepUpWorld(tracked, { mcp: true });
  });

  /** Opens the address in a message, as the session's user. */
  async function open(message: string, user = "user-1") {
    const [url = ""] = /https?:[^\s"\\]+/.exec(message) ?? [];
    const page = await world.visit(createHttpBrowser(), url, user);
    expect([page.status, page.body]).toEqual([200, expect.stringContaining("crm is connected")]);
  }

  async function send(session: string, text: string, headers: Readonly<Record<string, string>> = {}) {
    const json = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const authorization = await world.authorizationOf(session);
    const sent = { method: "POST", headers: { ...json, authorization, ...headers }, body: text };
    return fetch(`${world.publicUrl}/mcp`, sent);
  }

  async function connected(session: string): Promise<void> {
    await open(await (await send(session, JSON.stringify(initialize))).text());
  }

  /** What a client begins a login of its own by. Its session comes in a header, so that it needs none. */
  function ownLogin() {
    const begun: string[] = [];
    const provider = {
      redirectUrl: "http://127.0.0.1:1/callback",
      clientMetadata: { redirect_uris: ["http://127.0.0.1:1/callback"] },
      tokens: () => undefined,
      clientInformation: () => void begun.push("client"),
      saveClientInformation: () => void begun.push("registration"),
      saveTokens: () => void begun.push("tokens"),
      redirectToAuthorization: () => void begun.push("redirect"),
      saveCodeVerifier: () => void begun.push("verifier"),
      codeVerifier: () => "",
    };
    return { begun, provider };
  }

  test.each(["2026-07-28", "legacy"] as const)(
    "the official client of revision %s shows the address and begins no login of its own; then the same call works",
    async (revision) => {
      const session = `official-${revision}`;
      await connected(session);
      const urls: string[] = [];
      const versionNegotiation = { mode: revision === "legacy" ? revision : { pin: revision } };
      const client = new Client(
        { name: "test", version: "2" },
        { versionNegotiation, capabilities: { elicitation: { url: {} } } },
      );
      client.setRequestHandler("elicitation/create", async ({ params }) => {
        urls.push("url" in params ? params.url : "");
        await open(urls.at(-1) ?? "");
        return { action: "accept" };
      });
      const { begun, provider } = ownLogin();
      const requestInit = { headers: { authorization: await world.authorizationOf(session) } };
      const options = { requestInit, authProvider: provider };
      await client.connect(new StreamableHTTPClientTransport(new URL(`${world.publicUrl}/mcp`), options));
      await use(client);
      const first: unknown = await client.callTool(contacts).catch((error: unknown) => error);
      if (first instanceof UrlElicitationRequiredError) await open(first.elicitations[0]?.url ?? "");
      else expect([first, urls.length]).toEqual([listed, 1]);
      expect([begun, await client.callTool(contacts)]).toEqual([[], listed]);
    },
  );

  test("version 1 of the official client reads the address in the tool's result; then the same call works", async () => {
    await connected("earlier");
    const client = new EarlierClient({ name: "test", version: "1" });
    const headers = { authorization: await world.authorizationOf("earlier") };
    const { begun, provider } = ownLogin();
    const options = { requestInit: { headers }, authProvider: provider };
    await client.connect(new EarlierTransport(new URL(`${world.publicUrl}/mcp`), options));
    await use({ stop: () => client.close() });
    const result = await client.callTool(contacts).catch((error: unknown) => error);
    await open(JSON.stringify(result) + String(result));
    expect([begun, await client.callTool(contacts)]).toEqual([[], listed]);
  });

  test("the answer is to the request's own id, digit by digit, as an event where the client takes no JSON", async () => {
    await connected("raw");
    const text = JSON.stringify({ ...call, id: 0 }).replace(`"id":0`, `"id":9007199254740993`);
    const answer = await send("raw", text);
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringMatching(/^\{"jsonrpc":"2\.0","id":9007199254740993,"result":.*connect\/crm\?ticket=/),
    ]);
    const event = await send("raw", text, { accept: "text/event-stream" });
    expect([event.headers.get("content-type"), await event.text()]).toEqual([
      "text/event-stream",
      expect.stringContaining("Allow further access to your crm account to go on"),
    ]);
  });

  test("a request whose body is longer than what is kept of it, or than Envoy passes on, is refused with the address", async () => {
    await connected("long");
    const padded = { ...call, id: 2, params: { ...contacts, padding: "x".repeat(70_000) } };
    for (const body of [padded, { ...call, id: "x".repeat(3_000) }]) {
      const answer = await send("long", JSON.stringify(body));
      expect([answer.status, answer.headers.get("www-authenticate"), await answer.text()]).toEqual([
        400,
        null,
        expect.stringContaining("connect/crm?ticket="),
      ]);
    }
  });

  test("a ticket that asks for a scope is for its session's user alone", async () => {
    await connected("ticket");
    const text = await (await send("ticket", JSON.stringify({ ...call, id: 3 }))).text();
    const [url = ""] = /https?:[^\s"\\]+/.exec(text) ?? [];
    const page = await world.visit(createHttpBrowser(), url, "user-2");
    expect([page.status, page.body]).toEqual([403, expect.stringContaining("made for somebody else")]);
  });

  test("who declines is not asked again for ten minutes: the client gets 403, with nothing to begin a login by", async () => {
    await connected("declined");
    const text = await (await send("declined", JSON.stringify({ ...call, id: 4 }))).text();
    const [url = ""] = /https?:[^\s"\\]+/.exec(text) ?? [];
    const browser = createHttpBrowser();
    const asked = await browser.visit(url, (next) => {
      if (next.pathname === "/auth" && next.origin !== world.provider.issuer)
        next.searchParams.set("login_hint", "user-1");
    });
    expect((await browser.submit(asked, { deny: "yes" })).body).toContain("Nothing was changed");
    const answer = await send("declined", JSON.stringify({ ...call, id: 5 }));
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([403, null]);
  });
});
