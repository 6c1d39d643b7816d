import { expect, test } from "vitest";
import { startOidcMcpServer } from "../support/oidc-mcp-server.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
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

test("tokens are asked for the MCP server alone: at the authorization endpoint, for the code and at a refresh", async () => {
  const mcp = await use.use(startSdkMcpServer({ expiresIn: 3_600 }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } } });
  await world.connect("ada");
  const first = await world.tokenFor("ada");
  world.clock.shift(3_600_000);
  expect(await world.tokenFor("ada")).not.toBe(first);
  expect(mcp.resources).toEqual(["authorize", "code", "refresh"].map((at) => ({ at, resource: mcp.url })));
});
