import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, prefix, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, connectUrlOf, isCallback, sessionCookie, startWorld } from "./harness.ts";

const use = resources();
const otherSession = "YW5vdGhlci1vcGFxdWUtc2Vzc2lvbg";

/** A login that has come as far as the provider's way back. */
interface Running {
  readonly browser: TestBrowser;
  readonly url: string;
  readonly cookie: string;
  readonly value: string;
}

async function running(
  browser: TestBrowser,
  address: string,
  options: Parameters<TestBrowser["visit"]>[1] = {},
): Promise<Running> {
  const { url } = await browser.visit(address, { until: isCallback, ...options });
  const state = new URL(url).searchParams.get("state") ?? "";
  const cookie = `${loginCookiePrefix}${createHash("sha256").update(state).digest("base64url").slice(0, 16)}`;
  const value = browser.cookies.get(cookie);
  if (value === undefined) throw new Error(`no cookie ${cookie} in [${[...browser.cookies.keys()]}]`);
  return { browser, url, cookie, value };
}

/**
 * Presents what `other` keeps under the name of `own`'s cookie, at `own`'s callback; afterwards the browser is as it
 * was.
 */
async function swapped(own: Running, other: Running): Promise<number> {
  own.browser.cookies.set(own.cookie, other.value);
  const { status } = await own.browser.request(own.url);
  own.browser.cookies.set(own.cookie, own.value);
  return status;
}

/** Presents another browser's login with its address and its cookie; afterwards the browser is as it was. */
async function stolen(by: TestBrowser, { url, cookie, value }: Running): Promise<readonly [number, string]> {
  const before = by.cookies.get(cookie);
  by.cookies.set(cookie, value);
  const page = await by.request(url);
  if (before === undefined) by.cookies.delete(cookie);
  else by.cookies.set(cookie, before);
  return [page.status, textOf(page)];
}

const elsewhere = [403, expect.stringContaining("This login was begun elsewhere")];
const requestsOf = ({ provider, as }: ConnectWorld) => provider.tokenRequests + as.tokenRequests;
const withWiki = {
  upstreams: ({ as }: { as: { issuer: string; client: { id: string } } }) => ({
    wiki: { issuer: as.issuer, clientId: as.client.id, clientSecret: "${env:SECRET}", connect: { scope: "openid" } },
  }),
};

describe("a login's cookie is refused, no code is redeemed, and both logins still finish:", () => {
  test("one upstream's at another's callback", async () => {
    const world = await startWorld(use, withWiki);
    const browser = world.browser();
    const [crm, wiki] = [
      await running(browser, `${prefix}connect/crm`),
      await running(browser, `${prefix}connect/wiki`),
    ];
    expect([await swapped(crm, wiki), await swapped(wiki, crm), requestsOf(world)]).toEqual([400, 400, 0]);
    expect([(await browser.request(crm.url)).status, (await browser.request(wiki.url)).status]).toEqual([302, 200]);
    expect(textOf(await browser.visit(prefix))).toMatch(/crm Connected since.*wiki Connected since/);
  });

  test("one step's at the other's callback", async () => {
    const world = await startWorld(use);
    const headers = await world.bearer("session-1", "user-1");
    const browser = world.browser();
    const edit = (url: URL) =>
      url.searchParams.set("login_hint", url.href.startsWith(world.as.issuer) ? "user-1" : "account");
    const identify = await running(browser, connectUrlOf(await world.call(headers)) ?? "", { edit });
    expect(new URL(identify.url).searchParams.get("iss")).toBe(world.as.issuer);
    const connect = await running(browser, `${prefix}connect/crm`, { edit });
    expect([await swapped(identify, connect), await swapped(connect, identify), requestsOf(world)]).toEqual([
      400, 400, 0,
    ]);
    expect((await browser.request(connect.url)).status).toBe(302);
    expect(textOf(await browser.visit(identify.url, { edit }))).toContain("crm is connected");
    expect((await world.call(headers)).status).toBe(200);
  });

  test("another browser's, of the same session", async () => {
    const world = await startWorld(use);
    const [one, other] = [
      await running(world.browser(), `${prefix}connect/crm`),
      await running(world.browser(), `${prefix}connect/crm`),
    ];
    expect([await swapped(one, other), await swapped(other, one)]).toEqual([400, 400]);
    expect([await stolen(one.browser, other), await stolen(other.browser, one), requestsOf(world)]).toEqual([
      elsewhere,
      elsewhere,
      0,
    ]);
    expect([(await one.browser.request(one.url)).status, (await other.browser.request(other.url)).status]).toEqual([
      302, 302,
    ]);
  });

  test("another newcomer's, where sessions begin with the login", async () => {
    const world = await startWorld(use, { issue: true });
    const [one, other] = [
      await running(world.browser(null), `${prefix}connect/crm`),
      await running(world.browser(null), `${prefix}connect/crm`),
    ];
    expect([await swapped(one, other), await swapped(other, one)]).toEqual([400, 400]);
    expect([await stolen(one.browser, other), await stolen(other.browser, one), requestsOf(world)]).toEqual([
      elsewhere,
      elsewhere,
      0,
    ]);
    const sessions = [];
    for (const { browser, url } of [one, other]) {
      expect((await browser.request(url)).status).toBe(302);
      sessions.push(browser.cookies.get("__Host-bearerswap"));
    }
    expect(new Set(sessions).size).toBe(2);
  });

  test("the same browser's, while another session is signed in there", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const mine = await running(browser, `${prefix}connect/crm`);
    const session = browser.cookies.get(sessionCookie) ?? "";
    browser.cookies.set(sessionCookie, otherSession);
    const page = await browser.request(mine.url);
    expect([page.status, textOf(page), requestsOf(world)]).toEqual([...elsewhere, 0]);
    expect(browser.cookies.get(mine.cookie)).toBe(mine.value);
    browser.cookies.set(sessionCookie, session);
    expect((await browser.request(mine.url)).status).toBe(302);
  });

  test("a ticket's, after its user was identified, in another browser", async () => {
    const world = await startWorld(use);
    const headers = await world.bearer("session-1", "user-1");
    const edit = (url: URL) =>
      url.searchParams.set("login_hint", url.href.startsWith(world.as.issuer) ? "user-1" : "account");
    const atProvider = (url: URL) => isCallback(url) && url.searchParams.get("iss") === world.provider.issuer;
    const link = connectUrlOf(await world.call(headers)) ?? "";
    const mine = await running(createBrowser(world.client), link, { edit, until: atProvider });
    for (const stranger of [createBrowser(world.client), world.browser()]) {
      await stranger.request(`${prefix}connect/crm`);
      expect([await stolen(stranger, mine), world.provider.tokenRequests]).toEqual([elsewhere, 0]);
    }
    expect((await mine.browser.request(mine.url)).status).toBe(200);
    expect((await world.call(headers)).status).toBe(200);
  });
});

test("a login that comes back to two replicas at once is finished by one, and its code redeemed once", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  const second = await world.replica();
  const mine = await running(world.browser(null), `${prefix}connect/crm`);
  const twin = createBrowser(second.client);
  for (const [name, value] of mine.browser.cookies) twin.cookies.set(name, value);
  const gate = world.provider.hang();
  const answers = [mine.browser, twin, mine.browser, twin].map((browser) => browser.request(mine.url));
  await gate.arrived();
  gate.release();
  const pages = await Promise.all(answers);
  expect(pages.map(({ status }) => status).sort()).toEqual([302, 400, 400, 400]);
  expect(world.provider.tokenRequests).toBe(1);
  for (const page of pages.filter(({ status }) => status === 400))
    expect(textOf(page)).toContain("it was finished already");
  // The cookie put back changes nothing, and the mark outlives it.
  twin.cookies.set(mine.cookie, mine.value);
  expect([(await twin.request(mine.url)).status, world.provider.tokenRequests]).toEqual([400, 1]);
  const client = await openClient(use, redis.url);
  const [mark = "", ...others] = await client.keys("bearerswap:flow:used:*");
  expect([await client.pttl(mark), others]).toEqual([expect.toSatisfy((lifeMs: number) => lifeMs > 1_200_000), []]);
});
