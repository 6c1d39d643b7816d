import { describe, expect, test } from "vitest";
import { browserCookie } from "../../src/connect/browser.ts";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import { pageCookie } from "../../src/connect/page-sessions.ts";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, isCallback } from "./harness.ts";
import { addressIn, as, loggedIn, loginUrl, press, startPageWorld } from "./page-harness.ts";

const use = resources();
const offered = expect.stringContaining("Log in at");

/** What the page says to a browser. */
async function shown(browser: TestBrowser): Promise<string> {
  return textOf(await browser.visit(prefix));
}

async function isConnected(world: ConnectWorld, user: string): Promise<boolean> {
  return (await world.call(await world.bearer("any", user))).status === 200;
}

test("the attacker's way back, opened in a victim's browser, logs nobody in there", async () => {
  const world = await startPageWorld(use);
  const attacker = world.browser(null);
  const { url } = await attacker.visit(loginUrl, { ...as("attacker", world), until: isCallback });
  const [fresh, busy] = [world.browser(null), world.browser(null)];
  await busy.request(loginUrl);
  expect([(await fresh.request(url)).status, (await busy.request(url)).status]).toEqual([400, 400]);
  // As if the login's cookie could be set from next door: the browser's must still be the right one.
  for (const [name, value] of attacker.cookies) if (name.startsWith(loginCookiePrefix)) busy.cookies.set(name, value);
  expect((await busy.request(url)).status).toBe(403);
  expect(world.as.tokenRequests).toBe(0);
  for (const browser of [fresh, busy]) expect(browser.cookies.has(pageCookie)).toBe(false);
  expect(world.service.events("connect_refused")).toMatchObject([{ step: "sign_in", source: "agents" }]);
});

test("a way back that was used logs nobody in again, also after logging out, and redeems no code", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(null);
  const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  const before = [...browser.cookies];
  await browser.visit(url);
  await press(browser, await browser.visit(prefix), "logout");
  for (const [name, value] of before) browser.cookies.set(name, value);
  expect([(await browser.request(url)).status, world.as.tokenRequests]).toEqual([400, 1]);
  expect(await shown(browser)).toEqual(offered);
});

test("a way back that comes twice at once logs in once", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(null);
  const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  const pages = await Promise.all([browser.request(url), browser.request(url)]);
  expect([pages.map(({ status }) => status).sort(), world.as.tokenRequests]).toEqual([[302, 400], 1]);
});

test("a value that a browser brings before the login becomes no login: the cookie is always a new one", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(null);
  const planted = "p".repeat(44);
  browser.cookies.set(pageCookie, planted);
  expect(await shown(browser)).toEqual(offered);
  await loggedIn(world, "user-1", browser);
  const first = browser.cookies.get(pageCookie) ?? "";
  expect(first).not.toBe(planted);
  await loggedIn(world, "user-1", browser);
  expect(browser.cookies.get(pageCookie)).not.toBe(first);
  for (const old of [planted, first]) {
    browser.cookies.set(pageCookie, old);
    expect(await shown(browser)).toEqual(offered);
  }
});

test("the cookie is worth nothing in another browser, nor without the browser's", async () => {
  const world = await startPageWorld(use);
  const victim = await loggedIn(world);
  const [thief, other] = [world.browser(null), await loggedIn(world, "user-2")];
  for (const browser of [thief, other]) {
    browser.cookies.set(pageCookie, victim.cookies.get(pageCookie) ?? "");
    expect(await shown(browser)).toEqual(offered);
    expect((await browser.request(`${prefix}connect/crm`)).status).toBe(403);
  }
  expect(await shown(victim)).toContain("logged in as user-1");
});

describe.each([
  (name: string) => `foo=x,${name}`,
  ...["\u2000", "\u00a0", "\ufeff"].map((space) => (name: string) => `${Buffer.from(space).toString("latin1")}${name}`),
])("a cookie from next door that only looks like the page's", (look) => {
  test("logs nobody in as the attacker, and nobody out", async () => {
    const world = await startPageWorld(use);
    const [attacker, user, newcomer] = [await loggedIn(world, "attacker"), await loggedIn(world), world.browser(null)];
    for (const browser of [user, newcomer])
      for (const name of [pageCookie, browserCookie]) browser.cookies.set(look(name), attacker.cookies.get(name) ?? "");
    expect([await shown(user), await shown(newcomer)]).toEqual([
      expect.stringContaining("logged in as user-1"),
      offered,
    ]);
  });
});

describe("while somebody else logs in at the issuer in another tab", () => {
  test("a form and a link of the older page do nothing", async () => {
    const world = await startPageWorld(use);
    const browser = await loggedIn(world, "alice");
    await browser.visit(`${prefix}connect/crm`, as("alice", world));
    const old = await browser.visit(prefix);
    await loggedIn(world, "bob", forgetting(browser, world));
    for (const action of ["disconnect/crm", "logout"]) expect((await press(browser, old, action)).status).toBe(403);
    const refused = await browser.request(addressIn(old, "connect/crm"));
    expect([refused.status, textOf(refused)]).toEqual([403, expect.stringContaining("out of date")]);
    expect([await isConnected(world, "alice"), await isConnected(world, "bob")]).toEqual([true, false]);
    expect(await shown(browser)).toContain("logged in as bob");
  });

  test("a login at the provider that the first one began connects nothing to either", async () => {
    const world = await startPageWorld(use);
    const browser = await loggedIn(world, "alice");
    const { url } = await browser.visit(`${prefix}connect/crm`, { ...as("alice", world), until: isCallback });
    await loggedIn(world, "bob", forgetting(browser, world));
    expect((await browser.request(url)).status).toBe(403);
    expect([await isConnected(world, "alice"), await isConnected(world, "bob")]).toEqual([false, false]);
  });

  test("a login at the provider that was begun as nobody's is not finished as theirs", async () => {
    const world = await startPageWorld(use, { issue: true });
    const browser = world.browser(null);
    const { url } = await browser.visit(`${prefix}connect/crm`, { ...as("alice", world), until: isCallback });
    await loggedIn(world, "alice", browser);
    expect((await browser.visit(url)).url).toBe(prefix);
    expect([await isConnected(world, "alice"), await shown(browser)]).toEqual([
      false,
      expect.stringContaining("crm Not connected"),
    ]);
  });
});

test("logging out takes a POST of our own page, with the token of this login", async () => {
  const world = await startPageWorld(use);
  const [browser, other] = [await loggedIn(world), await loggedIn(world)];
  const action = addressIn(await browser.visit(prefix), "logout");
  const post = (url: string, origin?: string) =>
    browser.request(url, { method: "POST", headers: origin === undefined ? {} : { origin } });
  for (const origin of [undefined, "null", "https://evil.example.com", "http://gateway.example.com"])
    expect((await post(action, origin)).status).toBe(403);
  const others = addressIn(await other.visit(prefix), "logout");
  for (const url of [others, `${prefix}logout`, `${prefix}logout?token=`])
    expect((await post(url, publicUrl)).status).toBe(403);
  expect((await browser.request(action, { headers: { origin: publicUrl } })).status).toBe(405);
  expect(await shown(browser)).toContain("logged in as user-1");
  expect((await post(action, publicUrl)).status).toBe(303);
  expect(await shown(browser)).toEqual(offered);
});

test("an ID token of another issuer, and one with another login's nonce, log nobody in", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(null);
  const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  const other = world.browser(null);
  const theirs = new URL((await other.visit(loginUrl, { ...as("attacker", world), until: isCallback })).url);
  const injected = new URL(url);
  injected.searchParams.set("code", theirs.searchParams.get("code") ?? "");
  expect([(await browser.request(injected.href)).status, await shown(browser)]).toEqual([503, offered]);
  const mixed = new URL((await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback })).url);
  mixed.searchParams.set("iss", world.provider.issuer);
  expect([(await browser.request(mixed.href)).status, await shown(browser)]).toEqual([503, offered]);
});

test("what the issuer says of the user is text", async () => {
  const nasty = `<img src=x onerror=alert(1)>"'`;
  const world = await startPageWorld(use);
  const page = await world.browser(null).visit(loginUrl, as(nasty, world));
  expect(page.body).toContain("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;");
  expect(page.body).not.toContain("<img");
});

/** The browser without its login at the issuer, whose simulator would else ask nobody. */
function forgetting(browser: TestBrowser, { as: issuer }: ConnectWorld): TestBrowser {
  browser.forget(issuer.issuer);
  return browser;
}
