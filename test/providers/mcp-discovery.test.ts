import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { discover, metadataOf, oauthPath, openidPath, resourcePath, startSite, unauthorized } from "./mcp-sites.ts";

const { use } = resources();

/** An MCP server that names itself as its authorization server, in the places given. */
async function ownServer(places: readonly string[] = [`${resourcePath}/mcp`, oauthPath]) {
  const site = await startSite(use);
  site.answers["/mcp"] = unauthorized();
  for (const place of places)
    site.answers[place] = place.startsWith(resourcePath)
      ? { document: { resource: site.mcp, authorization_servers: [site.url] } }
      : { document: metadataOf(site.url) };
  return site;
}

test("goes by the metadata that the 401 names, wherever they are, and takes its scope", async () => {
  const site = await ownServer([`${resourcePath}/mcp`, oauthPath]);
  site.answers["/meta"] = {
    document: { resource: site.mcp, authorization_servers: [site.url], scopes_supported: ["all"] },
  };
  site.answers["/mcp"] = unauthorized(
    `Basic realm="a, \\"Bearer\\" resource_metadata=x", Bearer error="invalid_token", scope="read write", resource_metadata="${site.url}/meta"`,
  );
  const found = await discover(site.mcp);
  expect(found).toMatchObject({ resource: site.mcp, scopes: ["read", "write"], metadata: { issuer: site.url } });
  expect(site.asked).toEqual(["POST /mcp", "GET /meta", `GET ${oauthPath}`]);
});

test("without one in the 401 it goes by the well-known path of the server, then by that of its host", async () => {
  const first = await ownServer();
  expect((await discover(first.mcp)).misses).toEqual([`the 401 of ${first.mcp} names no resource_metadata`]);
  expect(first.asked).toEqual(["POST /mcp", `GET ${resourcePath}/mcp`, `GET ${oauthPath}`]);
  const second = await ownServer([resourcePath, oauthPath]);
  expect((await discover(second.mcp)).resource).toBe(second.mcp);
  expect(second.asked).toEqual(["POST /mcp", `GET ${resourcePath}/mcp`, `GET ${resourcePath}`, `GET ${oauthPath}`]);
});

test("the path of the metadata has the query of the server's URL", async () => {
  const site = await startSite(use);
  const url = `${site.mcp}?team=1`;
  site.answers["/mcp?team=1"] = unauthorized();
  site.answers[`${resourcePath}/mcp?team=1`] = { document: { resource: url, authorization_servers: [site.url] } };
  site.answers[oauthPath] = { document: metadataOf(site.url) };
  expect((await discover(url)).resource).toBe(url);
});

test("a server that answers without a token is asked for its metadata all the same", async () => {
  const site = await ownServer();
  site.answers["/mcp"] = { document: { jsonrpc: "2.0", id: 1, result: {} } };
  expect(await discover(site.mcp)).toMatchObject({
    resource: site.mcp,
    misses: [`${site.mcp} answered a request without a token with HTTP 200`],
  });
});

test("a server without metadata is one of revision 2025-03-26: its origin is the issuer, and it knows no resource", async () => {
  const site = await ownServer([oauthPath]);
  const found = await discover(site.mcp);
  expect([found.resource, found.scopes, found.metadata.issuer]).toEqual([undefined, undefined, site.url]);
});

test.each([500, 429, "silent"] as const)(
  "a server whose metadata cannot be had now (%s) is not taken for one without",
  async (failure) => {
    const site = await ownServer([oauthPath]);
    site.answers[`${resourcePath}/mcp`] = failure === "silent" ? failure : { status: failure };
    await expect(discover(site.mcp, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "discovery",
      message: expect.stringContaining(`${resourcePath}/mcp `),
    });
    expect(site.asked).not.toContain(`GET ${oauthPath}`);
  },
);

test.each([503, 408])("nor is one that itself cannot answer now (%i)", async (status) => {
  const site = await ownServer([oauthPath]);
  site.answers["/mcp"] = { status };
  await expect(discover(site.mcp)).rejects.toThrow(
    `${site.mcp} answered a request without a token with HTTP ${status}`,
  );
  expect(site.asked).not.toContain(`GET ${oauthPath}`);
});

test("nor is one whose metadata are there and make no sense", async () => {
  const site = await ownServer([oauthPath]);
  site.answers[resourcePath] = { document: { resource: 7 } };
  await expect(discover(site.mcp)).rejects.toThrow(`${site.url}${resourcePath} is no resource metadata (RFC 9728)`);
});

test("nor is one whose 401 leads to an address that may not be asked", async () => {
  const site = await ownServer([oauthPath]);
  site.answers["/mcp"] = unauthorized('Bearer resource_metadata="http://mcp.example.com/meta"');
  await expect(discover(site.mcp)).rejects.toThrow(
    "the resource_metadata http://mcp.example.com/meta cannot be used: it is no https URL",
  );
  site.answers["/mcp"] = unauthorized('Bearer resource_metadata="https://192.168.0.1/meta"');
  await expect(discover(site.mcp)).rejects.toThrow("192.168.0.1 is no address of the public internet (private)");
});

test("metadata that name no authorization server mean the server's origin; of endless scopes some are taken", async () => {
  const site = await ownServer();
  const scopes_supported = ["no scope", "", ...Array.from({ length: 200 }, (_, at) => `scope-${at}`)];
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, scopes_supported } };
  const { metadata, scopes } = await discover(site.mcp);
  expect([metadata.issuer, scopes?.length, scopes?.at(-1)]).toEqual([site.url, 100, "scope-99"]);
});

test("a server that is down is asked once, and said to be", async () => {
  const site = await ownServer();
  site.answers["/mcp"] = "silent";
  await expect(discover(site.mcp, { timeoutMs: 200 })).rejects.toThrow(
    `how to log in at the MCP server ${site.mcp} cannot be found out: ${site.mcp} cannot be asked: `,
  );
  expect(site.asked).toEqual(["POST /mcp"]);
});

test.each([
  ["https://mcp.example.com/mcp", "another origin"],
  ["/mcp/other", "a path below"],
  ["/mc", "a path that only begins alike"],
  ["/mcp#part", "a fragment"],
  ["/mcp?team=2", "another query"],
])("does not take metadata about another resource: %s (%s)", async (resource) => {
  const site = await ownServer();
  const named = resource.startsWith("/") ? `${site.url}${resource}` : resource;
  site.answers[`${resourcePath}/mcp`] = { document: { resource: named, authorization_servers: [site.url] } };
  await expect(discover(site.mcp)).rejects.toThrow(`is about another resource, "${named}"`);
});

test.each(["", "/", "/mcp/"])(
  "takes a resource that is the server's host or differs by the last slash: %j",
  async (path) => {
    const site = await ownServer();
    const resource = `${site.url}${path}`;
    site.answers[`${resourcePath}/mcp`] = { document: { resource, authorization_servers: [site.url] } };
    expect((await discover(site.mcp)).resource).toBe(resource);
  },
);

test("where the resource's metadata are wrong in one place, those of another are taken", async () => {
  const site = await ownServer([resourcePath, oauthPath]);
  site.answers["/mcp"] = unauthorized(`Bearer resource_metadata="${site.url}/gone"`);
  site.answers[`${resourcePath}/mcp`] = { document: { resource: "https://other.example.com" } };
  const { resource, misses } = await discover(site.mcp);
  expect(resource).toBe(site.mcp);
  expect(misses).toEqual([
    `${site.url}/gone answered HTTP 404`,
    `${site.url}${resourcePath}/mcp is about another resource, "https://other.example.com", and not about ${site.mcp}`,
  ]);
});

test("takes the first authorization server that can be used, and says what was wrong with those before", async () => {
  const [site, broken, weak, good] = [
    await ownServer(),
    await startSite(use),
    await startSite(use),
    await startSite(use),
  ];
  weak.answers[oauthPath] = { document: metadataOf(weak.url, { code_challenge_methods_supported: ["plain"] }) };
  good.answers[openidPath] = { document: metadataOf(good.url) };
  site.answers[`${resourcePath}/mcp`] = {
    document: { resource: site.mcp, authorization_servers: [broken.url, weak.url, good.url], scopes_supported: ["a"] },
  };
  const { metadata, scopes, misses } = await discover(site.mcp);
  expect([metadata.issuer, scopes]).toEqual([good.url, ["a"]]);
  expect(misses.slice(1)).toEqual([
    `${broken.url}${oauthPath} answered HTTP 404`,
    `${broken.url}${openidPath} answered HTTP 404`,
    expect.stringContaining(`${weak.url}${oauthPath}: it does not announce PKCE with S256`),
    `${weak.url}${openidPath} answered HTTP 404`,
  ]);
});

test("names what is wrong with each authorization server where none can be used", async () => {
  const [site, down] = [await ownServer(), await startSite(use)];
  down.answers[oauthPath] = "silent";
  const authorization_servers = [down.url, "http://as.example.com", "not a url", "https://10.0.0.1", `${site.url}?a`];
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers } };
  const asking = discover(site.mcp, { timeoutMs: 500 });
  await expect(asking).rejects.toThrow(`${down.url}${oauthPath} cannot be asked: `);
  await expect(asking).rejects.toThrow('"http://as.example.com" cannot be used as an issuer: it is no https URL');
  await expect(asking).rejects.toThrow('"not a url" cannot be used as an issuer');
  await expect(asking).rejects.toThrow(`"${site.url}?a" cannot be used as an issuer`);
  await expect(asking).rejects.toThrow("10.0.0.1 is no address of the public internet (private): nothing was sent");
  expect(down.asked).toHaveLength(1);
});

test("takes the operator's issuer alone, also where another is named first", async () => {
  const [site, evil] = [await ownServer(), await startSite(use)];
  evil.answers[oauthPath] = { document: metadataOf(evil.url) };
  const place = `${resourcePath}/mcp`;
  site.answers[place] = { document: { resource: site.mcp, authorization_servers: [evil.url, site.url] } };
  expect((await discover(site.mcp, { only: `${site.url}/` })).metadata.issuer).toBe(site.url);
  site.answers[place] = { document: { resource: site.mcp, authorization_servers: [evil.url] } };
  await expect(discover(site.mcp, { only: site.url })).rejects.toThrow(
    `it names "${evil.url}", and not the configured issuer ${site.url}`,
  );
  expect(evil.asked).toEqual([]);
});

test("tries five authorization servers at most", async () => {
  const [site, other] = [await ownServer(), await startSite(use)];
  const authorization_servers = Array.from({ length: 50 }, (_, at) => `${other.url}/${at}`);
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers } };
  await expect(discover(site.mcp)).rejects.toThrow("/4/.well-known/openid-configuration answered HTTP 404");
  expect(other.asked).toHaveLength(15);
});

test("a slow authorization server does not keep from the next one", async () => {
  const [site, slow] = [await ownServer(), await startSite(use, { [oauthPath]: "silent" })];
  const authorization_servers = [slow.url, site.url];
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers } };
  expect((await discover(site.mcp, { timeoutMs: 500 })).metadata.issuer).toBe(site.url);
});

test("takes no longer than three times the time of a request, however many servers are slow", async () => {
  const site = await ownServer();
  const slow = await Promise.all(Array.from({ length: 5 }, () => startSite(use, { [oauthPath]: "silent" })));
  const authorization_servers = slow.map(({ url }) => url);
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers } };
  await expect(discover(site.mcp, { timeoutMs: 400 })).rejects.toThrow(authorization_servers[4]);
  expect(slow.filter(({ asked }) => asked.length > 0).length).toBeLessThan(5);
});
