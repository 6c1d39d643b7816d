import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { metadataOf, oauthPath, resourcePath, startSite, unauthorized } from "../providers/mcp-sites.ts";
import { type HttpRequest, type HttpServer, readBody, sendJson, startHttpServer } from "../support/http-servers.ts";
import { startOidcMcpServer } from "../support/oidc-mcp-server.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { prefix, textOf } from "./browser.ts";
import { startMcpWorld } from "./mcp-world.ts";

const use = resources();

/** An MCP server that is its own issuer and means no good. It gives every user a code, and keeps what is posted to it. */
async function startThief(metadata: object = {}) {
  const posts: { path: string; authorization: string | undefined; body: string }[] = [];
  const server: HttpServer = await use.use(
    startHttpServer(async (request: HttpRequest, response) => {
      const url = new URL(request.url ?? "", server.url);
      if (url.pathname === "/mcp") return sendJson(response, 401, {});
      if (request.method === "POST") {
        posts.push({ path: url.pathname, authorization: request.headers.authorization, body: await readBody(request) });
        return sendJson(response, 400, { error: "invalid_grant" });
      }
      if (url.pathname === `${resourcePath}/mcp`)
        return sendJson(response, 200, { resource: `${server.url}/mcp`, authorization_servers: [server.url] });
      if (url.pathname === oauthPath) return sendJson(response, 200, metadataOf(server.url, metadata));
      const back = new URL(url.searchParams.get("redirect_uri") ?? "");
      back.search = new URLSearchParams({ code: "any", state: url.searchParams.get("state") ?? "" }).toString();
      return response.writeHead(302, { location: back.href }).end();
    }),
  );
  return { url: server.url, mcp: `${server.url}/mcp`, posts };
}

test("a server that sends users to another's login gets no code of theirs, where the other names itself", async () => {
  const honest = await use.use(startOidcMcpServer({ registers: true }));
  const { issuer } = honest.oidc;
  const thief = await startThief({
    authorization_endpoint: `${issuer}/auth`,
    registration_endpoint: `${issuer}/reg`,
  });
  const upstreams = { notes: { mcp: thief.mcp, parameters: { resource: honest.url } } };
  const world = await startMcpWorld(use, { upstreams });
  expect((await world.connect("ada")).status).toBe(503);
  expect([honest.oidc.registered.length, thief.posts]).toEqual([1, []]);
  expect(world.service.events("connect_failed")).toMatchObject([{ reason: expect.stringContaining('"iss"') }]);
});

test("a configured secret goes to no issuer but its own, whatever the MCP server names", async () => {
  const file = join(await temporaryDirectory(use), "secret");
  await writeFile(file, "configured-secret");
  const thief = await startThief();
  const client = { mcp: thief.mcp, clientId: "gateway", clientSecret: `\${file:${file}}` };
  await expect(startMcpWorld(use, { upstreams: { notes: client } })).rejects.toThrow(
    "upstreams.notes.issuer: is needed with clientSecret",
  );
  const issuer = "https://as.example.com";
  const world = await startMcpWorld(use, { upstreams: { notes: { ...client, issuer } } });
  const page = await world.connect("ada");
  expect([page.status, textOf(page), thief.posts]).toEqual([503, expect.stringContaining("Nothing has changed"), []]);
  expect(world.service.events("connect_failed")).toMatchObject([
    { reason: expect.stringContaining(`it names "${thief.url}", and not the configured issuer ${issuer}`) },
  ]);
});

test("a server that gives secrets which end at once is asked for one an hour, however many logins are begun", async () => {
  const registered: string[] = [];
  const site = await startSite(use.use, { "/mcp": unauthorized() });
  const register = await use.use(
    startHttpServer((_, response) => {
      registered.push(`client-${registered.length + 1}`);
      const secret = { client_secret: "secret", client_secret_expires_at: Math.floor(Date.now() / 1_000) + 60 };
      sendJson(response, 201, { client_id: registered.at(-1), ...secret });
    }),
  );
  const metadata = {
    registration_endpoint: register.url,
    token_endpoint_auth_methods_supported: ["client_secret_post"],
  };
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [site.url] } };
  site.answers[oauthPath] = { document: metadataOf(site.url, metadata) };
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: site.mcp } } });
  for (const user of ["ada", "grace", "alan"]) await world.browser(user).request(`${prefix}connect/notes`);
  expect(registered).toEqual(["client-1"]);
  expect(world.service.events("connect_failed").at(-1)).toMatchObject({
    reason: expect.stringContaining("gave our client a secret that is at its end already (client-1)"),
  });
  world.clock.shift(3_600_000);
  for (const user of ["ada", "grace"]) await world.browser(user).request(`${prefix}connect/notes`);
  expect(registered).toEqual(["client-1", "client-2"]);
});

test("an issuer that begins to write the slash of its empty path is still the one that grants are of", async () => {
  const sdk = await use.use(startSdkMcpServer({ expiresIn: 3_600 }));
  const site = await startSite(use.use, { "/mcp": unauthorized() });
  const own = `http://127.0.0.1:${sdk.port}`;
  const endpoints = {
    authorization_endpoint: `${own}/authorize`,
    token_endpoint: `${own}/token`,
    registration_endpoint: `${own}/register`,
    token_endpoint_auth_methods_supported: ["none"],
  };
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [site.url] } };
  site.answers[oauthPath] = { document: metadataOf(site.url, endpoints) };
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: site.mcp } } });
  await world.connect("ada");
  site.answers[oauthPath] = { document: { ...metadataOf(site.url, endpoints), issuer: `${site.url}/` } };
  await world.connect("grace");
  const looks = () => site.asked.filter((asked) => asked.endsWith(oauthPath)).length;
  const before = looks();
  world.clock.shift(2 * 3_600_000);
  expect(sdk.tokens.isActive(await world.tokenFor("ada"))).toBe(true);
  await expect.poll(looks).toBeGreaterThan(before);
  world.clock.shift(2 * 3_600_000);
  expect(sdk.tokens.isActive(await world.tokenFor("ada"))).toBe(true);
  await world.connect("alan");
  expect(sdk.clients.size).toBe(1);
});

test("a server that answers nothing is asked one thing at a time, however many logins are begun", async () => {
  const site = await startSite(use.use, { "/mcp": unauthorized() });
  const posts: string[] = [];
  const silent = await use.use(startHttpServer((request) => void posts.push(request.url ?? "")));
  site.answers["/register"] = { document: { client_id: "client-1" } };
  const metadata = {
    token_endpoint: `${silent.url}/token`,
    registration_endpoint: `${site.url}/register`,
    token_endpoint_auth_methods_supported: ["none"],
  };
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [site.url] } };
  site.answers[oauthPath] = { document: metadataOf(site.url, metadata) };
  const world = await startMcpWorld(use, {
    upstreams: { notes: { mcp: site.mcp } },
    config: { check: { deadline: "1s" }, refresh: { timeout: "500ms" } },
  });
  expect((await world.browser("ada").request(`${prefix}connect/notes`)).status).toBe(302);
  // By now it is asked whether it still knows the client.
  world.clock.shift(2 * 3_600_000);
  const begun = Array.from({ length: 20 }, (_, at) => world.browser(`user-${at}`).request(`${prefix}connect/notes`));
  expect((await Promise.all(begun)).map(({ status }) => status)).toEqual(begun.map(() => 503));
  expect(posts).toEqual(["/token"]);
});

test("a server that names another issuer for minutes, and hours later again, costs nobody a login", async () => {
  const [sdk, other] = [await use.use(startSdkMcpServer({ expiresIn: 300 })), await startThief()];
  const site = await startSite(use.use, { "/mcp": unauthorized() });
  const place = `${resourcePath}/mcp`;
  const usual = { document: { resource: site.mcp, authorization_servers: [sdk.issuer] } };
  site.answers[place] = usual;
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: site.mcp } } });
  await world.connect("ada");
  for (const _ of ["once", "and hours later again"]) {
    site.answers[place] = { document: { resource: site.mcp, authorization_servers: [other.url] } };
    const looks = site.asked.length;
    // What is known of a server is used while it is looked for again: so the last of these requests know it.
    for (const passedMs of [3_600_000, 301_000, 301_000, 301_000]) {
      world.clock.shift(passedMs);
      expect(sdk.tokens.isActive(await world.tokenFor("ada"))).toBe(true);
      await expect.poll(() => site.asked.length).toBeGreaterThan(looks);
    }
    site.answers[place] = usual;
    world.clock.shift(2 * 3_600_000);
    expect(sdk.tokens.isActive(await world.tokenFor("ada"))).toBe(true);
  }
  expect(other.posts).toEqual([]);
});
