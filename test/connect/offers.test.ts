import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, textOf } from "./browser.ts";
import { connectUrlOf, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

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
