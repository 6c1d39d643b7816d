import { expect, test } from "vitest";
import { metadataOf, oauthPath, resourcePath, startSite } from "../providers/mcp-sites.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startOidcMcpServer } from "../support/oidc-mcp-server.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { textOf } from "./browser.ts";
import { encryption, type McpWorld, startMcpWorld } from "./mcp-world.ts";

const use = resources();
const hourMs = 3_600_000;

async function onRedis() {
  const { url } = await use.use(startRedis());
  const redis = await openClient(use, url);
  return {
    config: { store: { redis: { url }, encryption } },
    redis,
    async loseRegistrations() {
      await redis.del(...(await redis.keys("*flow:client:*")));
    },
    /** Redis has its own clock: what it holds of access tokens is taken away. */
    async expire(world: McpWorld) {
      for (const key of await redis.keys("*:grant:*")) await redis.hdel(key, "access", "accessUntil");
      world.clock.shift(hourMs);
    },
  };
}

/** A user of an MCP server whose access token is at its end. */
async function connected({ config = {} } = {}) {
  const mcp = await use.use(startOidcMcpServer({ registers: true, accessTokenLifeSeconds: 3_600 }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, config });
  await world.connect("ada");
  const [client] = mcp.oidc.registered;
  const first = await world.tokenFor("ada");
  world.clock.shift(hourMs);
  return { mcp, world, client: client?.client_id ?? "", first };
}

test("two replicas whose users log in at the same time register one client, and keep it sealed", async () => {
  const { redis, config } = await onRedis();
  const mcp = await use.use(startSdkMcpServer());
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, config });
  const other = await world.replica();
  const pages = await Promise.all([world.connect("ada"), other.connect("grace"), world.connect("alan")]);
  expect(pages.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect([mcp.clients.size, await world.callTool("grace", mcp.url)]).toEqual([1, expect.stringContaining("Ada")]);
  const [key = ""] = await redis.keys("*flow:client:*");
  expect(await redis.get(key)).toMatch(/^s1\.k1\./);
});

test("a replica that dies while it registers is followed by another, half a minute later", async () => {
  const { redis, config } = await onRedis();
  const mcp = await use.use(startSdkMcpServer());
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, config });
  await world.connect("ada");
  const [key = ""] = await redis.keys("*flow:client:*");
  await redis.del(key);
  const claim = key.replace("flow:client:", "flow:claim:");
  await redis.set(claim, "a claim of a replica that died", "PX", 1_000);
  expect([(await world.connect("grace")).status, mcp.clients.size]).toEqual([200, 2]);
});

test("where the store loses the registration, users stay connected, and the next login registers anew", async () => {
  const { config, loseRegistrations, expire } = await onRedis();
  const { mcp, world, client, first } = await connected({ config });
  await loseRegistrations();
  await expire(world);
  expect(await world.tokenFor("ada")).not.toBe(first);
  expect(mcp.oidc.registered).toHaveLength(1);
  await world.connect("grace");
  expect(mcp.oidc.registered).toHaveLength(2);
  await expire(world);
  expect(await mcp.oidc.isActive(await world.tokenFor("ada"))).toBe(true);
  expect(mcp.oidc.registered[1]?.client_id).not.toBe(client);
});

test("a client's secret that only the grant has is enough to refresh and to disconnect, and stands in no log", async () => {
  const { config, loseRegistrations, expire } = await onRedis();
  const mcp = await use.use(
    startOidcMcpServer({ registers: true, onlyConfidential: true, accessTokenLifeSeconds: 3_600 }),
  );
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } }, config });
  await world.connect("ada");
  expect(mcp.oidc.registered).toMatchObject([{ token_endpoint_auth_method: "client_secret_basic" }]);
  await loseRegistrations();
  await expire(world);
  const other = await world.replica();
  const token = await other.tokenFor("ada");
  expect([await mcp.oidc.isActive(token), mcp.oidc.refreshes()]).toMatchObject([true, [{ status: 200 }]]);
  await other.disconnect("ada");
  await expect.poll(() => mcp.oidc.isActive(token)).toBe(false);
  const secret = String(mcp.oidc.registered[0]?.client_secret);
  expect([secret.length > 20, `${world.service.log()}${other.service.log()}`.includes(secret)]).toEqual([true, false]);
});

test("a server that forgets our client costs each of its users one login, after it has said so again and again", async () => {
  const { mcp, world, client } = await connected();
  await mcp.oidc.forget(client);
  expect([await world.tokenFor("ada"), mcp.oidc.registered.length]).toEqual(["unavailable", 1]);
  // It may have a bad moment: for a quarter of an hour nobody loses a login.
  for (let minutes = 0; minutes < 14; minutes += 2) {
    world.clock.shift(120_000);
    expect(await world.tokenFor("ada")).toBe("unavailable");
  }
  world.clock.shift(120_000);
  expect(await world.tokenFor("ada")).toBe("grant_refused");
  expect((await world.connect("ada")).status).toBe(200);
  expect([mcp.oidc.registered.length, await mcp.oidc.isActive(await world.tokenFor("ada"))]).toEqual([2, true]);
});

test("a client that the server forgot within the hour is not registered again, and the page says what to do", async () => {
  const mcp = await use.use(startOidcMcpServer({ registers: true }));
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: mcp.url } } });
  await world.connect("ada");
  await mcp.oidc.forget(mcp.oidc.registered[0]?.client_id ?? "");
  world.clock.shift(hourMs / 2);
  const page = await world.connect("grace");
  expect(mcp.oidc.registered).toHaveLength(1);
  expect([page.status, textOf(page)]).toEqual([
    503,
    expect.stringContaining("it is registered once more in 30 min at the earliest"),
  ]);
});

test("a client whose secret has an end is registered anew for logins before that, and refreshed as long as it is good", async () => {
  const mcp = await use.use(startSdkMcpServer());
  const site = await startSite(use.use);
  const at = (path: string) => `http://127.0.0.1:${mcp.port}${path}`;
  const endpoints = { authorization_endpoint: at("/authorize"), token_endpoint: at("/token") };
  const methods = {
    registration_endpoint: at("/register"),
    token_endpoint_auth_methods_supported: ["client_secret_post"],
  };
  site.answers[oauthPath] = { document: metadataOf(site.url, { ...endpoints, ...methods }) };
  const resource = { resource: site.mcp, authorization_servers: [site.url] };
  site.answers[`${resourcePath}/mcp`] = { document: resource };
  const world = await startMcpWorld(use, { upstreams: { notes: { mcp: site.mcp, refreshTokenLife: "90d" } } });
  await world.connect("ada");
  world.clock.shift(29 * 24 * hourMs);
  await world.connect("grace");
  const [client, ...others] = mcp.clients.values();
  expect([client?.client_secret_expires_at, others]).toEqual([expect.any(Number), []]);
  world.clock.shift(24 * hourMs);
  expect([(await world.connect("alan")).status, mcp.clients.size]).toEqual([200, 2]);
  expect(mcp.tokens.isActive(await world.tokenFor("ada"))).toBe(true);
});
