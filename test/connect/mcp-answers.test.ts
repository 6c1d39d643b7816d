import { beforeAll, describe, expect, test } from "vitest";
import type { HttpRequestOptions } from "../support/check-request.ts";
import { oddIds } from "../support/json-rpc-ids.ts";
import { resources } from "../support/resources.ts";
import type { Page } from "./browser.ts";
import { type ConnectWorld, startWorld, type WorldOptions } from "./harness.ts";

const use = resources();

/** The request's context on an MCP route. */
const onMcp = { contextExtensions: { upstream: "crm", mcp: "true" } };
const opensUrls = { elicitation: { url: {} } };
const link = /https:\/\/gateway\.example\.com\/_bearerswap\/connect\/crm\?ticket=[\w-]{22}/;
const inMessage = expect.stringMatching(link);

const meta = (capabilities: object) => ({
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": capabilities,
});

/** A request of a client of the revision in the header, which can open URLs unless `capabilities` say otherwise. */
function request(method: string, params: object = {}, capabilities: object = opensUrls) {
  return { jsonrpc: "2.0", id: 7, method, params: { ...params, _meta: meta(capabilities) } };
}

const of = (revision: string) => ({ "mcp-protocol-version": revision });
const current = of("2026-07-28");

async function post(
  world: ConnectWorld,
  body: unknown,
  headers: object = current,
  options: HttpRequestOptions = onMcp,
): Promise<Page> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const bearer = await world.bearer("session-1");
  return world.call({ ...bearer, ...headers }, { method: "POST", path: "/mcp", body: text, ...options });
}

/** What a POST is answered with by a world of its own. */
async function answered(body: unknown, headers?: object, options?: WorldOptions): Promise<[number, unknown]> {
  const { status, body: text } = await post(await startWorld(use, options), body, headers);
  return [status, text === "" ? undefined : JSON.parse(text)];
}

describe("a client that says in each request that it opens URLs (revision 2026-07-28)", () => {
  test.each(["tools/call", "prompts/get", "resources/read"])("is asked to open the page: %s", async (method) => {
    const url = expect.stringMatching(link);
    const params = { mode: "url", url, message: "Connect your crm account to go on." };
    const inputRequests = { "bearerswap-connect-crm": { method: "elicitation/create", params } };
    const result = { resultType: "input_required", inputRequests };
    expect(await answered(request(method))).toEqual([200, { jsonrpc: "2.0", id: 7, result }]);
  });

  test.each(["initialize", "tools/list"])("gets the error with the URL: %s", async (method) => {
    const elicitation = { mode: "url", url: inMessage, elicitationId: expect.any(String), message: expect.any(String) };
    const error = { code: -32_042, message: inMessage, data: { elicitations: [elicitation] } };
    expect(await answered(request(method))).toEqual([200, { jsonrpc: "2.0", id: 7, error }]);
  });

  test.each([opensUrls, {}])(
    "that asks for the server's revisions first gets the one error whose message it shows (%j)",
    async (capabilities) => {
      const data = { supported: ["2025-11-25"], requested: "2026-07-28" };
      const error = { code: -32_022, message: inMessage, data };
      const asked = request("server/discover", {}, capabilities);
      expect(await answered(asked)).toEqual([200, { jsonrpc: "2.0", id: 7, error }]);
    },
  );

  test("is asked again with the same page where its user agreed and has not finished", async () => {
    const world = await startWorld(use);
    const accepted = { inputResponses: { "bearerswap-connect-crm": { action: "accept" } } };
    const first = await post(world, request("tools/call"));
    expect((await post(world, request("tools/call", accepted))).body).toBe(first.body);
  });

  test.each(["decline", "cancel"])(
    "is not asked again after %s: the tool's result says what is missing",
    async (action) => {
      const declined = { inputResponses: { "bearerswap-connect-crm": { action } } };
      const result = { content: [{ type: "text", text: inMessage }], isError: true, resultType: "complete" };
      expect(await answered(request("tools/call", declined))).toEqual([200, { jsonrpc: "2.0", id: 7, result }]);
    },
  );
});

describe("a client of revision 2025-11-25", () => {
  const elicitation = { mode: "url", url: inMessage, elicitationId: expect.stringMatching(/^[\w-]{43}$/) };
  const required = {
    code: -32_042,
    message: inMessage,
    data: { elicitations: [{ ...elicitation, message: expect.any(String) }] },
  };
  const initialize = (capabilities: object) => ({
    ...{ jsonrpc: "2.0", id: 0, method: "initialize" },
    params: { protocolVersion: "2025-11-25", capabilities },
  });

  test("that says at initialize that it opens URLs gets the error of that revision", async () => {
    expect(await answered(initialize(opensUrls), {})).toEqual([200, { jsonrpc: "2.0", id: 0, error: required }]);
  });

  test("that says at initialize that it takes forms only gets a plain error with the URL", async () => {
    const error = { code: -32_050, message: inMessage };
    expect(await answered(initialize({ elicitation: {} }), {})).toEqual([200, { jsonrpc: "2.0", id: 0, error }]);
  });

  test("gets the error of that revision later on where the operator takes its clients for able", async () => {
    const call = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "list" } };
    const able = { connect: { assumeUrlElicitation: true } };
    expect(await answered(call, of("2025-11-25"), able)).toEqual([200, { jsonrpc: "2.0", id: 7, error: required }]);
    const result = { content: [{ type: "text", text: inMessage }], isError: true };
    expect(await answered(call, of("2025-11-25"))).toEqual([200, { jsonrpc: "2.0", id: 7, result }]);
  });
});

describe("a client that does not open URLs, or does not say so", () => {
  const cannot: readonly (readonly [string, object, object])[] = [
    ["that takes forms only", request("tools/call", {}, { elicitation: {} }), current],
    ["without elicitation", request("tools/call", {}, {}), current],
    ["of revision 2025-06-18", request("tools/call"), of("2025-06-18")],
    ["of revision 2025-03-26", request("tools/call"), of("2025-03-26")],
    ["of a revision that is none", request("tools/call"), of("9999")],
  ];

  test.each(cannot)("%s reads the URL in the tool's result", async (_, body, headers) => {
    const [status, answer] = await answered(body, headers);
    expect([status, answer]).toMatchObject([200, { id: 7, result: { isError: true, content: [{ text: inMessage }] } }]);
  });

  test.each(["initialize", "tools/list", "prompts/get"])("reads the URL in the error's message: %s", async (method) => {
    const error = { code: -32_050, message: inMessage };
    expect(await answered(request(method, {}, {}))).toEqual([200, { jsonrpc: "2.0", id: 7, error }]);
  });

  test("that takes event streams only gets its answer in one", async () => {
    const page = await post(await startWorld(use), request("tools/list"), { ...current, accept: "text/event-stream" });
    const [, json = "", ...rest] = /^event: message\ndata: (.*)\n\n$/.exec(page.body) ?? [];
    expect([page.status, page.headers.get("content-type"), rest, JSON.parse(json).error.code]).toEqual([
      200,
      ["text/event-stream"],
      [],
      -32_042,
    ]);
  });

  test("that takes both, as the specification wants it, gets JSON", async () => {
    const accept = "application/json, text/event-stream";
    const page = await post(await startWorld(use), request("tools/list"), { ...current, accept });
    expect(page.headers.get("content-type")).toEqual(["application/json"]);
  });
});

test.each(oddIds)("a request is answered with its id byte for byte: %s", async (id) => {
  const text = JSON.stringify(request("tools/call")).replace('"id":7', `"id":${id}`);
  const { status, body } = await post(await startWorld(use), text);
  expect([status, body.slice(0, body.indexOf(',"result":'))]).toEqual([200, `{"jsonrpc":"2.0","id":${id}`]);
});

test("a batch (revision 2025-03-26) gets one error for each request in it, with their ids as they are written", async () => {
  const batch = `[{"jsonrpc":"2.0","id":1e2,"method":"tools/call","params":{"x":[1,{"id":5}]}}, {"jsonrpc":"2.0","method":"notifications/progress"},{"id":"b","jsonrpc":"2.0","method":"tools/list"}]`;
  const { status, body } = await post(await startWorld(use), batch, of("2025-03-26"));
  const error = { code: -32_050, message: inMessage };
  expect([status, JSON.parse(body)]).toEqual([
    200,
    [
      { jsonrpc: "2.0", id: 100, error },
      { jsonrpc: "2.0", id: "b", error },
    ],
  ]);
  expect(body).toContain('"id":1e2,');
});

describe("what is no request", () => {
  const shared = resources("file");
  let world: ConnectWorld;
  beforeAll(async () => {
    world = await startWorld(shared);
  });

  test.each<[string, unknown]>([
    ["notifications/cancelled", { jsonrpc: "2.0", method: "notifications/cancelled" }],
    ["notifications/progress", { jsonrpc: "2.0", method: "notifications/progress" }],
    ["a batch of such", [{ jsonrpc: "2.0", method: "notifications/progress" }]],
  ])("is taken, and goes no further: %s", async (_, body) => {
    const page = await post(world, body);
    expect([page.status, page.headers.get("content-type")]).toEqual([202, undefined]);
  });

  test.each<[string, unknown, object?]>([
    ["no JSON", "{"],
    ["no object", "null"],
    ["nothing", ""],
    ["an empty batch", []],
    ["a request with a null id", { ...request("tools/call"), id: null }],
    ["a request with a list for an id", { ...request("tools/call"), id: [1] }],
    ["notifications/initialized", { jsonrpc: "2.0", method: "notifications/initialized" }],
    ["a response", { jsonrpc: "2.0", id: 3, result: {} }],
    ["a partial body", request("tools/call"), { "x-envoy-auth-partial-body": "true" }],
    [
      "one that Envoy calls partial, and its client whole",
      request("tools/call"),
      { "x-envoy-auth-partial-body": "false,true" },
    ],
  ])("is refused with the URL, in an error without an id: %s", async (_, body, headers = {}) => {
    const page = await post(world, body, { ...current, ...headers });
    const error = { code: expect.any(Number), message: inMessage };
    expect([page.status, JSON.parse(page.body)]).toEqual([400, { jsonrpc: "2.0", error }]);
  });

  test("GET is not allowed without an MCP session, and comes again later with one; DELETE is never", async () => {
    const by = (method: string, headers: object = {}) => post(world, "", headers, { ...onMcp, method });
    const get = await by("GET");
    const remove = await by("DELETE");
    const stream = await by("GET", { "mcp-session-id": "s1" });
    expect([get, remove, stream].map(({ status }) => status)).toEqual([405, 405, 503]);
    expect([get.headers.get("allow"), remove.headers.get("allow"), stream.headers.get("retry-after")]).toEqual([
      ["POST"],
      ["POST"],
      ["5"],
    ]);
  });

  test.each([
    ["says nothing of MCP", { contextExtensions: { upstream: "crm" } }],
    ["denies it", { contextExtensions: { upstream: "crm", mcp: "false" } }],
  ])("a route that %s answers 401 with the link, as for any API", async (_, options) => {
    const page = await post(world, request("tools/call"), current, options);
    expect([page.status, JSON.parse(page.body)]).toMatchObject([
      401,
      { reason: "grant_missing", connect_url: inMessage },
    ]);
  });
});

test("a route of the configuration says that it is for MCP, too", async () => {
  const routes = [{ pathPrefix: "/mcp", upstream: "crm", mcp: true }, { upstream: "crm" }];
  const world = await startWorld(use, { config: { routes } });
  const at = (path: string) => post(world, request("tools/call"), current, { contextExtensions: {}, path });
  expect([(await at("/mcp")).status, (await at("/api")).status]).toEqual([200, 401]);
});

test("an upstream that users cannot connect is named without a URL: nobody can do anything about it here", async () => {
  const world = await startWorld(use, {
    upstreams: ({ provider }) => ({ wiki: { issuer: provider.issuer, clientId: "gateway" } }),
  });
  const page = await post(world, request("tools/call"), current, {
    contextExtensions: { upstream: "wiki", mcp: "true" },
  });
  const { result } = JSON.parse(page.body);
  expect([page.status, result.isError, result.content[0].text]).toEqual([
    200,
    true,
    "Your wiki account is not connected, and there is no page here to connect it: ask whoever runs this gateway.",
  ]);
});

test("without a session gets 401: an account is not what is missing", async () => {
  const world = await startWorld(use, { issue: true });
  const body = JSON.stringify(request("tools/call"));
  expect((await world.call(current, { method: "POST", body, ...onMcp })).status).toBe(401);
});
