import { expect, test } from "vitest";
import { metadataOf, oauthPath, resourcePath, type Site, startSite } from "../providers/mcp-sites.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { prefix, textOf } from "./browser.ts";
import { isCallback } from "./harness.ts";
import { startMcpWorld } from "./mcp-world.ts";

const use = resources();
const hourMs = 3_600_000;

/** An MCP server that is nothing but its metadata, and authorization servers that it may name. */
async function site() {
  const server = await startSite(use.use);
  const issuer = () =>
    use.use(startOidcServer({ registers: true, resources: [server.mcp], accessTokenLifeSeconds: 3_600 }));
  return { server, issuer, name: (...issuers: readonly string[]) => name(server, issuers) };
}

function name({ answers, mcp }: Site, issuers: readonly string[]): void {
  const document = { resource: mcp, authorization_servers: issuers, scopes_supported: ["mcp"] };
  answers[`${resourcePath}/mcp`] = { document };
}

/** The address at which a browser comes back to us, with the code and more. */
async function backOf(world: Awaited<ReturnType<typeof startMcpWorld>>, upstream: string) {
  const browser = world.browser("ada");
  return { browser, back: new URL((await browser.visit(`${prefix}connect/${upstream}`, { until: isCallback })).url) };
}

test("a server that names another issuer costs one login, and the refresh token is not sent there", async () => {
  const { server, issuer, name } = await site();
  const [one, other] = [await issuer(), await issuer()];
  name(one.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("ada");
  name(other.issuer);
  // What is known of a server is used while it is looked for again.
  const hourLater = () => {
    world.clock.shift(hourMs);
    return world.tokenFor("ada");
  };
  await expect.poll(hourLater).toBe("grant_refused");
  expect([await world.tokenFor("ada"), other.tokenRequests]).toEqual(["grant_refused", 0]);
  const refreshes = one.refreshes().length;
  expect((await world.connect("ada")).status).toBe(200);
  expect(await other.isActive(await world.tokenFor("ada"))).toBe(true);
  world.clock.shift(hourMs);
  expect(await other.isActive(await world.tokenFor("ada"))).toBe(true);
  expect([one.refreshes().length, other.refreshes()]).toMatchObject([refreshes, [{ status: 200 }]]);
});

test("a server that names another issuer for a moment costs nobody a login: the grant is refreshed where it is from", async () => {
  const { server, issuer, name } = await site();
  const [one, other] = [await issuer(), await issuer()];
  name(one.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("ada");
  name(other.issuer);
  // What is known of the server is used until it was looked for again; then it has to name another for an hour.
  for (const hours of [1, 2, 3]) {
    world.clock.shift(hourMs);
    expect([hours, await one.isActive(await world.tokenFor("ada"))]).toEqual([hours, true]);
  }
  expect([one.refreshes().length, other.tokenRequests]).toEqual([3, 0]);
});

test("Disconnect ends the tokens at the issuer that they are of, also when the server names another", async () => {
  const { server, issuer, name } = await site();
  const [one, other] = [await issuer(), await issuer()];
  name(one.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("ada");
  const token = await world.tokenFor("ada");
  name(other.issuer);
  world.clock.shift(2 * 24 * hourMs);
  await world.connect("grace").catch(() => undefined);
  await world.disconnect("ada");
  await expect.poll(() => one.isActive(token)).toBe(false);
  expect(world.service.events("revocation_failed")).toEqual([]);
});

test("while an issuer does not answer its grants wait, also where the server names another one beside it", async () => {
  const { server, issuer, name } = await site();
  const [one, other] = [await issuer(), await issuer()];
  name(one.issuer, other.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("ada");
  const replica = await world.replica();
  await one.stop();
  world.clock.shift(hourMs);
  expect(await world.tokenFor("ada")).toBe("unavailable");
  expect((await replica.connect("grace")).status).toBe(200);
  expect(other.tokenRequests).toBe(1);
});

test("a login is redeemed only at the issuer where it was begun, though the server names another by then", async () => {
  const { server, name } = await site();
  // Neither says iss, and what is posted to the other one is seen.
  const [one, other] = [await use.use(startSdkMcpServer()), await startSite(use.use)];
  const methods = { token_endpoint_auth_methods_supported: ["none"] };
  other.answers[oauthPath] = { document: metadataOf(other.url, { ...methods, registration_endpoint: other.mcp }) };
  name(one.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("grace");
  world.clock.shift(hourMs - 60_000);
  const { browser, back } = await backOf(world, "notes");
  name(other.url);
  world.clock.shift(120_000);
  const isNamed = async () => {
    await world.browser("alan").request(`${prefix}connect/notes`);
    return other.asked.includes("POST /mcp");
  };
  await expect.poll(isNamed).toBe(true);
  await browser.visit(back.href);
  expect(other.asked).not.toContain("POST /token");
});

test.each([
  ["without iss", (url: URL) => url.searchParams.delete("iss")],
  ["with another iss", (url: URL) => url.searchParams.set("iss", "https://idp.example.com")],
])("no code is redeemed that comes %s from a server that announces it", async (_, change) => {
  const { server, issuer, name } = await site();
  const one = await issuer();
  name(one.issuer);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  const { browser, back } = await backOf(world, "notes");
  change(back);
  expect([(await browser.visit(back.href)).status, one.tokenRequests]).toEqual([503, 0]);
});

test("a code of one MCP server is never shown to another, though neither says iss (mix-up)", async () => {
  const [honest, attacker] = [await use.use(startSdkMcpServer()), await use.use(startSdkMcpServer())];
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: honest.url }, evil: { mcp: attacker.url } } });
  const browser = world.browser("ada");
  // The attacker's server sends the browser on to the honest one, with its own state.
  const begun = new URL((await browser.request(`${prefix}connect/evil`)).headers.get("location")?.[0] ?? "");
  const honestly = new URL(
    (await world.browser("eve").request(`${prefix}connect/notes`)).headers.get("location")?.[0] ?? "",
  );
  honestly.searchParams.set("state", begun.searchParams.get("state") ?? "");
  honestly.searchParams.set("code_challenge", begun.searchParams.get("code_challenge") ?? "");
  const page = await browser.visit(honestly.href);
  expect([page.status, page.url.split("?")[0]]).toEqual([403, `${prefix}callback/notes`]);
  expect(attacker.resources.filter(({ at }) => at === "code")).toEqual([]);
});

test("a server that takes no client by itself is connected by a configured one, and asks for it until then", async () => {
  const server = await startSite(use.use);
  const oidc = await use.use(startOidcServer({ resources: [server.mcp], redirectUris: [`${prefix}callback/notes`] }));
  name(server, [oidc.issuer]);
  const without = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  const page = await without.connect("ada");
  expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("set upstreams.notes.clientId")]);
  expect(without.service.events("connect_failed")).toMatchObject([
    { upstream: "notes", reason: expect.stringContaining(`redirect URI ${prefix}callback/notes`) },
  ]);
  const notes = {
    mcp: server.mcp,
    issuer: oidc.issuer,
    clientId: oidc.client.id,
    clientSecret: "${env:CLIENT_SECRET}",
  };
  const world = await startMcpWorld(use, { upstreams: { notes }, env: { CLIENT_SECRET: oidc.client.secret } });
  await world.connect("ada");
  world.clock.shift(hourMs);
  expect(await oidc.isActive(await world.tokenFor("ada"))).toBe(true);
  expect(oidc.refreshes()).toMatchObject([{ status: 200 }]);
});

test("a server that is down costs its own routes alone, and works when it is back", async () => {
  const [up, other] = [await use.use(startSdkMcpServer()), await startSite(use.use)];
  other.answers["/mcp"] = { status: 503 };
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: up.url }, wiki: { mcp: other.mcp } } });
  expect((await world.connect("ada", "wiki")).status).toBe(503);
  expect([(await world.connect("ada")).status, (await world.tokenFor("ada")).length > 0]).toEqual([200, true]);
  const oidc = await use.use(startOidcServer({ registers: true, resources: [other.mcp] }));
  delete other.answers["/mcp"];
  name(other, [oidc.issuer]);
  world.clock.shift(5_000);
  expect((await world.connect("ada", "wiki")).status).toBe(200);
});

test("a grant is refreshed for the resource that it was made for, though the server calls itself otherwise by then", async () => {
  const sdk = await use.use(startSdkMcpServer({ expiresIn: 3_600 }));
  const server = await startSite(use.use);
  const named = (resource: string) => {
    server.answers[`${resourcePath}/mcp`] = { document: { resource, authorization_servers: [sdk.issuer] } };
  };
  named(server.mcp);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  await world.connect("ada");
  named(server.url);
  for (let hours = 0; hours < 3; hours++) {
    world.clock.shift(hourMs);
    await world.tokenFor("ada");
  }
  await world.connect("grace");
  const asked = sdk.resources.map(({ at, resource = "" }) => `${at} ${new URL(resource).pathname}`);
  expect(asked.slice(0, 5)).toEqual(["authorize /mcp", "code /mcp", "refresh /mcp", "refresh /mcp", "refresh /mcp"]);
  expect(asked.slice(5)).toEqual(["authorize /", "code /"]);
});

test("a token endpoint that has moved is found again", async () => {
  const server = await startSite(use.use);
  const issuer = await startSite(use.use);
  const sdk = await use.use(startSdkMcpServer({ expiresIn: 3_600 }));
  const proxy = await use.use(startTcpProxy({ host: "127.0.0.1", port: sdk.port }));
  const at = (path: string, port = sdk.port) => `http://127.0.0.1:${port}${path}`;
  const endpoints = { authorization_endpoint: at("/authorize"), registration_endpoint: at("/register") };
  const methods = { token_endpoint_auth_methods_supported: ["none"] };
  const document = (token: string) => metadataOf(issuer.url, { ...endpoints, ...methods, token_endpoint: token });
  issuer.answers[oauthPath] = { document: document(at("/token", proxy.port)) };
  name(server, [issuer.url]);
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: server.mcp } } });
  expect((await world.connect("ada")).status).toBe(200);
  const first = await world.tokenFor("ada");
  issuer.answers[oauthPath] = { document: document(at("/token")) };
  await proxy.stop();
  world.clock.shift(hourMs);
  expect(await world.tokenFor("ada")).toBe("unavailable");
  world.clock.shift(60_000);
  expect([await world.tokenFor("ada"), first]).toEqual([
    expect.stringContaining("access"),
    expect.stringContaining("access"),
  ]);
  expect(sdk.resources.map(({ at }) => at)).toEqual(["authorize", "code", "refresh"]);
});
