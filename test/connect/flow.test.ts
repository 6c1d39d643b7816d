import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { createBrowser, prefix, publicUrl, textOf } from "./browser.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue, startWorld } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };

test("connects the account of a cookie session, from a 401's connect_url to a request that is let through", async () => {
  const world = await startWorld(use);
  const denied = await world.call(cookie);
  expect([denied.status, JSON.parse(denied.body)]).toEqual([
    401,
    expect.objectContaining({ reason: "grant_missing", connect_url: `${prefix}connect/crm` }),
  ]);
  const page = await world.browser().visit(connectUrlOf(denied) ?? "");
  expect([page.url, page.status]).toEqual([prefix, 200]);
  expect(textOf(page)).toMatch(/crm Connected since .* UTC as user-1 Connect again Disconnect/);
  const allowed = await world.call(cookie);
  expect(await world.provider.isActive(allowed.headers.get("authorization")?.[0]?.replace("Bearer ", "") ?? "")).toBe(
    true,
  );
});

test("asks the provider with PKCE S256, state, nonce and the public URL's redirect URI, whatever Host the request names", async () => {
  const world = await startWorld(use);
  const page = await world.browser().request(`${prefix}connect/crm`, { host: "evil.example.com" });
  const url = new URL(page.headers.get("location")?.[0] ?? "");
  expect(url.href.startsWith(`${world.provider.issuer}/auth?`)).toBe(true);
  expect(Object.fromEntries(url.searchParams)).toEqual({
    client_id: world.provider.client.id,
    response_type: "code",
    redirect_uri: `${prefix}callback`,
    scope: "openid offline_access",
    prompt: "consent",
    state: expect.stringMatching(/^[\w-]{22}$/),
    nonce: expect.stringMatching(/^[\w-]{22}$/),
    code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge_method: "S256",
  });
});

test("comes back to the page that the browser was at, with its query", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const denied = await browser.request(`${publicUrl}/contacts?page=2&q=a%20b`);
  expect([denied.status, denied.headers.get("location")]).toEqual([
    302,
    [`${prefix}connect/crm?return_to=%2Fcontacts%3Fpage%3D2%26q%3Da%2520b`],
  ]);
  const page = await browser.visit(`${publicUrl}/contacts?page=2&q=a%20b`);
  expect([page.url, page.body]).toEqual([`${publicUrl}/contacts?page=2&q=a%20b`, "let through"]);
});

test("redirects browsers that navigate and nobody else", async () => {
  const world = await startWorld(use);
  const navigation = { accept: "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate", ...cookie };
  expect((await world.call(navigation)).status).toBe(302);
  expect((await world.call(navigation, { method: "POST" })).status).toBe(401);
  expect((await world.call({ ...navigation, "sec-fetch-mode": "cors" })).status).toBe(401);
  expect((await world.call({ ...navigation, accept: "application/json" })).status).toBe(401);
  expect((await world.call({ accept: navigation.accept, ...cookie })).status).toBe(401);
});

test.each(["gateway.example.com:443", "gateway.example.com.", "Gateway.Example.com", "gateway.example.com.:443"])(
  "takes a browser back that named our host as %s, and names the resource's metadata",
  async (host) => {
    const resources = [{ resource: `${publicUrl}/contacts` }];
    const world = await startWorld(use, { connect: { resources } });
    const navigation = await world.call({ accept: "text/html", "sec-fetch-mode": "navigate", ...cookie }, { host });
    expect(navigation.headers.get("location")).toEqual([`${prefix}connect/crm?return_to=%2Fcontacts`]);
    const denied = await world.call({}, { host });
    expect(denied.headers.get("www-authenticate")?.[0]).toContain(
      `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/contacts"`,
    );
  },
);

test.each(["gateway.example.com:80", "gateway.example.com:8443", "gateway.example.com.evil.example"])(
  "takes nobody back who named %s",
  async (host) => {
    const world = await startWorld(use);
    const denied = await world.call({ accept: "text/html", "sec-fetch-mode": "navigate", ...cookie }, { host });
    expect(denied.headers.get("location")).toEqual([`${prefix}connect/crm`]);
  },
);

test("takes :80 for our host where the public URL is on plain http, and :443 for another", async () => {
  const own = "http://127.0.0.1";
  const world = await startWorld(use, { connect: { publicUrl: own, resources: [{ resource: `${own}/contacts` }] } });
  const navigate = async (host: string) => {
    const page = await world.call({ accept: "text/html", "sec-fetch-mode": "navigate", ...cookie }, { host });
    const denied = await world.call({}, { host });
    const isNamed = denied.headers.get("www-authenticate")?.[0]?.includes(`resource_metadata="${own}/`) === true;
    return [page.headers.get("location"), isNamed];
  };
  const back = [`${own}/_bearerswap/connect/crm?return_to=%2Fcontacts`];
  for (const host of ["127.0.0.1", "127.0.0.1:80"]) expect(await navigate(host)).toEqual([back, true]);
  for (const host of ["127.0.0.1:443", "127.0.0.1:8080"])
    expect(await navigate(host)).toEqual([[`${own}/_bearerswap/connect/crm`], false]);
});

test("does not take a browser back to another host's path", async () => {
  const world = await startWorld(use);
  const denied = await world.call(
    { accept: "text/html", "sec-fetch-mode": "navigate", ...cookie },
    { host: "api.example.com" },
  );
  expect(denied.headers.get("location")).toEqual([`${prefix}connect/crm`]);
});

test("finishes logins begun in two tabs, in any order", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  const first = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const second = await browser.visit(`${prefix}connect/crm?return_to=/second`, { until: isCallback });
  expect((await browser.request(second.url)).headers.get("location")).toEqual([`${publicUrl}/second`]);
  const later = await browser.visit(first.url);
  expect([later.status, textOf(later)]).toEqual([200, expect.stringContaining("crm Connected since")]);
});

test("disconnects on a POST from our page, here and at the provider, and the next request gets 401", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const page = await browser.visit(`${prefix}connect/crm`);
  const token = (await world.call(cookie)).headers.get("authorization")?.[0]?.replace("Bearer ", "") ?? "";
  const action = /action="([^"]+)"/.exec(page.body)?.[1] ?? "";
  const after = await browser.visit(action, { method: "POST", headers: { origin: publicUrl } });
  expect([after.url, textOf(after)]).toEqual([prefix, expect.stringContaining("crm Not connected Connect")]);
  expect(JSON.parse((await world.call(cookie)).body)).toMatchObject({ reason: "grant_missing" });
  await expect.poll(() => world.provider.isActive(token)).toBe(false);
});

test("gives users who have no session one of ours, with the account they connect", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  expect(connectUrlOf(await world.call({}))).toBe(`${prefix}connect/crm`);
  const overview = await browser.visit(prefix);
  expect([textOf(overview), [...browser.cookies.keys()]]).toEqual([
    expect.stringContaining("crm Not connected"),
    ["__Host-bearerswap-browser"],
  ]);
  const page = await browser.visit(`${publicUrl}/contacts`);
  expect(page.body).toBe("let through");
  expect(browser.cookies.get("__Host-bearerswap")).toMatch(/^[\w-]{44}$/);
});

test("keeps neither of its cookies in what goes upstream", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  await browser.visit(`${publicUrl}/contacts`);
  const cookies = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  const answer = await world.call({ cookie: `theme=dark; ${cookies}` });
  expect(answer.headers.get("cookie")).toEqual(["theme=dark"]);
});

test("shows a grant that the provider refused as one that needs a login, and a new login revives it", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  await browser.visit(`${prefix}connect/crm`);
  world.provider.failNext(400, {}, { error: "invalid_grant" });
  world.clock.shift(3_700_000);
  expect(JSON.parse((await world.call(cookie)).body)).toMatchObject({
    reason: "grant_refused",
    connect_url: `${prefix}connect/crm`,
  });
  expect(textOf(await browser.visit(prefix))).toMatch(
    /crm Needs a new login The provider no longer accepts what it gave\. Connect again to go on\. Connected since .* as user-1/,
  );
  expect(textOf(await browser.visit(`${prefix}connect/crm`))).toContain("crm Connected since");
});

test("tells sessions apart: one's account is not the other's", async () => {
  const world = await startWorld(use);
  await world.browser().visit(`${prefix}connect/crm`);
  expect(textOf(await world.browser("YW5vdGhlci1vcGFxdWUtc2Vzc2lvbg").visit(prefix))).toContain("crm Not connected");
  const stranger = await createBrowser(world.client).visit(prefix);
  expect([stranger.status, textOf(stranger)]).toEqual([403, expect.stringContaining("You are not signed in here")]);
});
