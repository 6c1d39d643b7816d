import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { startOidcMcpServer } from "../support/oidc-mcp-server.ts";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { startWorkersMcpServer } from "../support/workers-mcp-server.ts";
import { prefix } from "./browser.ts";
import { startDocuments, startMcpWorld } from "./mcp-world.ts";

const use = resources();
const listed = expect.stringContaining("Ada, Grace");

test("one line of configuration leads to a working tool call, by way of a client that registers itself", async () => {
  const mcp = await use.use(startSdkMcpServer());
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } } });
  expect([mcp.clients.size, (await world.connect("ada")).status]).toEqual([0, 200]);
  expect(await world.callTool("ada", mcp.url)).toEqual(listed);
  await world.connect("grace");
  expect(await world.callTool("grace", mcp.url)).toEqual(listed);
  const [client] = mcp.clients.values();
  expect([mcp.clients.size, client]).toMatchObject([
    1,
    { redirect_uris: [`${prefix}callback/notes`], token_endpoint_auth_method: "none" },
  ]);
  const { value } = await scrape(world.service.listening);
  expect(value("bearerswap_registrations_total", { upstream: "notes", result: "registered" })).toBe(1);
  expect(world.service.events("client_registered")).toMatchObject([{ upstream: "notes", clientId: client?.client_id }]);
});

test("one line of configuration leads to a working tool call, by way of our client's document", async () => {
  const documents = await use.use(startDocuments());
  const mcp = await use.use(startOidcMcpServer({ registers: true, clientDocumentsAt: documents.url }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, documents });
  expect((await world.connect("ada")).status).toBe(200);
  expect(await world.callTool("ada", mcp.url)).toEqual(listed);
  expect([mcp.oidc.registered, documents.paths.at(0)]).toEqual([[], "/_bearerswap/client.json"]);
});

test.each(["document", "registration"])(
  "many public servers are like this one: it takes our client by %s",
  async (way) => {
    const documents = await use.use(startDocuments());
    const mcp = await use.use(startWorkersMcpServer(way === "document" ? { clientDocumentsAt: documents.url } : {}));
    const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, documents });
    expect((await world.connect("ada")).status).toBe(200);
    const first = await world.tokenFor("ada");
    world.clock.shift(60_000);
    expect(await world.callTool("ada", mcp.url)).toEqual(listed);
    expect(await world.tokenFor("ada")).not.toBe(first);
    expect((await mcp.counts()).clients).toHaveLength(way === "document" ? 0 : 1);
  },
);

test("tokens are asked for the MCP server alone: at the authorization endpoint, for the code and at a refresh", async () => {
  const mcp = await use.use(startSdkMcpServer({ expiresIn: 3_600 }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } } });
  await world.connect("ada");
  const first = await world.tokenFor("ada");
  world.clock.shift(3_600_000);
  expect(await world.tokenFor("ada")).not.toBe(first);
  expect(mcp.resources).toEqual(["authorize", "code", "refresh"].map((at) => ({ at, resource: mcp.url })));
});

test("a client with a key of ours proves itself by it, and its document holds the public half alone", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  const documents = await use.use(startDocuments());
  const mcp = await use.use(startOidcMcpServer({ clientDocumentsAt: documents.url, accessTokenLifeSeconds: 3_600 }));
  const connect = { clientKey: { privateKey: "${env:CLIENT_KEY}", keyId: "k1" }, clientName: "Example" };
  const upstreams = { notes: { mcp: mcp.url }, wiki: { mcp: "https://wiki.example.com/mcp" } };
  const world = await startMcpWorld(use, { upstreams, connect, documents, env: { CLIENT_KEY: key } });
  await world.connect("ada");
  world.clock.shift(3_600_000);
  expect(await mcp.oidc.isActive(await world.tokenFor("ada"))).toBe(true);
  expect(mcp.oidc.refreshes()).toMatchObject([{ status: 200 }]);
  const page = await world.browser("ada").request(`${prefix}client.json`);
  const { jwks, ...document } = JSON.parse(page.body) as { jwks: { keys: object[] } };
  expect(document).toEqual({
    client_id: `${prefix}client.json`,
    client_name: "Example",
    client_uri: "https://gateway.example.com",
    redirect_uris: [`${prefix}callback/notes`, `${prefix}callback/wiki`],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
  });
  expect(jwks.keys).toEqual([
    { kty: "EC", crv: "P-256", x: expect.any(String), y: expect.any(String), use: "sig", alg: "ES256", kid: "k1" },
  ]);
  expect(page.headers.get("cache-control")).toEqual(["public, max-age=300"]);
});

test.each([
  ["an address that is no public one", { publicUrl: "http://127.0.0.1:8080" }],
  ["clientDocument: false", { clientDocument: false }],
])("a server that reads documents gets none with %s: our client registers itself", async (_, connect) => {
  const documents = await use.use(startDocuments());
  const mcp = await use.use(startOidcMcpServer({ registers: true, clientDocumentsAt: documents.url }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, connect, documents });
  await world.browser("ada").request(`${prefix}connect/notes`);
  expect([mcp.oidc.registered.length, documents.paths]).toEqual([1, []]);
});
