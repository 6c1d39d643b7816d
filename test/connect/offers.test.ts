import { beforeAll, describe, expect, test } from "vitest";
import type { HttpRequestOptions } from "../support/check-request.ts";
import { oddIds } from "../support/json-rpc-ids.ts";
import { resources } from "../support/resources.ts";
import { type Page, prefix, publicUrl, textOf } from "./browser.ts";
import { type ConnectWorld, connectUrlOf, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };

test("a JWT in a cookie connects directly, as a session that is at the browser", async () => {
  const world = await startWorld(use);
  const headers = { cookie: `${webCookie}=${await world.token("session-1")}` };
  expect(connectUrlOf(await world.call(headers))).toBe(`${prefix}connect/crm`);
});

test("a session in a cookie that should name its user and does not connects nothing", async () => {
  const world = await startWorld(use);
  const browser = world.browser(null);
  browser.cookies.set(webCookie, await world.token("session-1", null));
  const page = await browser.request(`${prefix}connect/crm`);
  expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("Your session names no user")]);
});

test("what stands in the place of a 401 is logged as one is", async () => {
  const world = await startWorld(use);
  await world.call({ ...cookie, accept: "text/html", "sec-fetch-mode": "navigate" });
  const fields = {
    upstream: "crm",
    reason: "grant_missing",
    way: "redirect",
    session: expect.stringMatching(/^[\w-]{12}$/),
  };
  expect(world.service.events("connect_offered")).toEqual([expect.objectContaining(fields)]);
});

test("no link goes with what a login does not cure", async () => {
  const world = await startWorld(use);
  expect(connectUrlOf(await world.call({}))).toBeUndefined();
  expect(connectUrlOf(await world.call({ authorization: "Bearer not-a-jwt" }))).toBeUndefined();
  expect(connectUrlOf(await world.call(cookie, { contextExtensions: { upstream: "nowhere" } }))).toBeUndefined();
  world.provider.failAlways(503);
  expect(connectUrlOf(await world.call(cookie))).toBe(`${prefix}connect/crm`);
});

describe("protected resource metadata (RFC 9728)", () => {
  const resource = `${publicUrl}/crm/mcp`;
  const wellKnown = `${publicUrl}/.well-known/oauth-protected-resource`;
  const documents = [
    { resource },
    { resource: `${publicUrl}/`, authorizationServers: ["https://as.example.com"], scopes: ["a", "b"] },
  ];

  test("is answered at its well-known path, for any site to read", async () => {
    const world = await startWorld(use, { connect: { resources: documents } });
    const page = await world.call({}, { path: "/.well-known/oauth-protected-resource/crm/mcp?x=y" });
    expect([page.status, JSON.parse(page.body)]).toEqual([
      200,
      { resource, authorization_servers: [world.as.issuer], bearer_methods_supported: ["header"] },
    ]);
    expect([page.headers.get("content-type"), page.headers.get("access-control-allow-origin")]).toEqual([
      ["application/json"],
      ["*"],
    ]);
    const root = await world.call({}, { path: "/.well-known/oauth-protected-resource" });
    expect(JSON.parse(root.body)).toMatchObject({
      resource: `${publicUrl}/`,
      authorization_servers: ["https://as.example.com"],
      scopes_supported: ["a", "b"],
    });
    expect((await world.call({}, { path: "/.well-known/oauth-protected-resource/other" })).status).toBe(404);
  });

  test("is named in WWW-Authenticate: the longest resource that covers the request, on its own host", async () => {
    const world = await startWorld(use, { connect: { resources: documents } });
    const named = async (path: string, headers = {}, host = "gateway.example.com") =>
      /resource_metadata="([^"]*)"/.exec(
        (await world.call(headers, { path, host })).headers.get("www-authenticate")?.[0] ?? "",
      )?.[1];
    expect(await named("/crm/mcp?a=b")).toBe(`${wellKnown}/crm/mcp`);
    expect(await named("/crm/mcp/x", { authorization: "Bearer not-a-jwt" })).toBe(`${wellKnown}/crm/mcp`);
    expect(await named("/crm/mcpx", cookie)).toBe(wellKnown);
    expect(await named("/crm/mcp", {}, "api.example.com")).toBeUndefined();
  });

  test("leaves that path to the routes where none is configured", async () => {
    const world = await startWorld(use);
    expect((await world.call({}, { path: "/.well-known/oauth-protected-resource" })).status).toBe(401);
  });
});

describe("a request for an MCP server", () => {
  const extensions = { contextExtensions: { upstream: "crm", mcp: "true" } };
  const capabilities = { elicitation: { url: {} } };
  const meta = (able: object = capabilities) => ({
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": able,
  });
  const call = (more: object = {}, able?: object) => ({
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: { name: "list", _meta: meta(able) },
    ...more,
  });
  const current = { "mcp-protocol-version": "2026-07-28" };
  const earlier = { "mcp-protocol-version": "2025-11-25" };

  async function post(
    world: ConnectWorld,
    body: unknown,
    headers: object = current,
    options: HttpRequestOptions = extensions,
  ): Promise<Page> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return world.call(
      { ...(await world.bearer("session-1")), ...headers },
      { method: "POST", path: "/mcp", body: text, ...options },
    );
  }

  test.each(["tools/call", "prompts/get", "resources/read"])(
    "is answered with a request to open the page: %s",
    async (method) => {
      const world = await startWorld(use);
      const page = await post(world, call({ method, id: "seven" }));
      const url = expect.stringMatching(
        /^https:\/\/gateway\.example\.com\/_bearerswap\/connect\/crm\?ticket=[\w-]{22}$/,
      );
      const params = { mode: "url", url, message: "Connect your crm account to go on." };
      expect([page.status, page.headers.get("content-type"), JSON.parse(page.body)]).toEqual([
        200,
        ["application/json"],
        {
          jsonrpc: "2.0",
          id: "seven",
          result: {
            resultType: "input_required",
            inputRequests: { "bearerswap-connect-crm": { method: "elicitation/create", params } },
          },
        },
      ]);
    },
  );

  test.each(oddIds)("is answered with its id byte for byte: %s", async (id) => {
    const { status, body } = await post(await startWorld(use), JSON.stringify(call()).replace('"id":7', `"id":${id}`));
    expect([status, body.slice(0, body.indexOf(',"result":'))]).toEqual([200, `{"jsonrpc":"2.0","id":${id}`]);
  });

  test("says so by a route of the configuration too", async () => {
    const world = await startWorld(use, {
      config: { routes: [{ pathPrefix: "/mcp", upstream: "crm", mcp: true }, { upstream: "crm" }] },
    });
    expect((await post(world, call(), current, { contextExtensions: {} })).status).toBe(200);
    expect((await post(world, call(), current, { contextExtensions: {}, path: "/api" })).status).toBe(401);
  });

  test("gets the error of revision 2025-11-25 where the operator takes its clients for able", async () => {
    const world = await startWorld(use, { connect: { assumeUrlElicitation: true } });
    const page = await post(world, call({ params: { name: "list" } }), earlier);
    const elicitation = {
      mode: "url",
      elicitationId: expect.stringMatching(/^[\w-]{43}$/),
      url: expect.stringContaining("ticket="),
      message: expect.any(String),
    };
    expect([page.status, JSON.parse(page.body)]).toEqual([
      200,
      {
        jsonrpc: "2.0",
        id: 7,
        error: { code: -32_042, message: expect.any(String), data: { elicitations: [elicitation] } },
      },
    ]);
    expect((await post(await startWorld(use), call(), earlier)).status).toBe(401);
  });

  const plain: readonly (readonly [what: string, body: unknown, headers?: object, options?: HttpRequestOptions])[] = [
    ["of another method", call({ method: "tools/list" })],
    ["of initialize", call({ method: "initialize" })],
    ["that is a notification", call({ id: undefined })],
    ["with a null id", call({ id: null })],
    ["that is a batch", [call()]],
    ["of a client that takes forms only", call({}, { elicitation: {} })],
    ["of a client without elicitation", call({}, {})],
    ["without _meta", call({ params: {} })],
    [
      "of a user who declined",
      call({ params: { _meta: meta(), inputResponses: { "bearerswap-connect-crm": { action: "decline" } } } }),
    ],
    [
      "of a user who cancelled",
      call({ params: { _meta: meta(), inputResponses: { "bearerswap-connect-crm": { action: "cancel" } } } }),
    ],
    ["of an unknown revision", call(), { "mcp-protocol-version": "9999" }],
    ["of a revision before URL elicitation", call(), { "mcp-protocol-version": "2025-06-18" }],
    ["that is no JSON", "{"],
    ["that is no object", "null"],
    ["whose body is partial", call(), { ...current, "x-envoy-auth-partial-body": "true" }],
    [
      "whose client says that the body is whole, and Envoy that it is not",
      call(),
      { ...current, "x-envoy-auth-partial-body": "false,true" },
    ],
    ["without its body", ""],
    ["by GET", call(), current, { ...extensions, method: "GET" }],
    ["on a route that says nothing of MCP", call(), current, { contextExtensions: { upstream: "crm" } }],
    ["on a route that denies it", call(), current, { contextExtensions: { upstream: "crm", mcp: "false" } }],
  ];

  const shared = resources("file");
  let world: ConnectWorld;
  beforeAll(async () => {
    world = await startWorld(shared);
  });

  test.each(plain)("%s gets a plain 401", async (_, body, headers, options) => {
    const page = await post(world, body, headers as object | undefined, options as HttpRequestOptions | undefined);
    expect([page.status, JSON.parse(page.body)]).toEqual([
      401,
      expect.objectContaining({ reason: "grant_missing", connect_url: expect.any(String) }),
    ]);
  });

  test("of a user who agreed but has not finished is asked again, with the same page", async () => {
    const world = await startWorld(use);
    const [first, again] = [
      await post(world, call()),
      await post(
        world,
        call({ params: { _meta: meta(), inputResponses: { "bearerswap-connect-crm": { action: "accept" } } } }),
      ),
    ];
    expect(again.body).toBe(first.body);
  });

  test("without a session gets 401: an account is not what is missing", async () => {
    const world = await startWorld(use, { issue: true });
    expect((await world.call(current, { method: "POST", body: JSON.stringify(call()), ...extensions })).status).toBe(
      401,
    );
  });
});
