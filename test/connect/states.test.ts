import { describe, expect, test } from "vitest";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import type { OidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, type Page, prefix, type TestBrowser, textOf } from "./browser.ts";
import { isCallback, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };
const otherSession = "YW5vdGhlci1vcGFxdWUtc2Vzc2lvbg";
const victimCookie = { cookie: `${sessionCookie}=${otherSession}` };

function copyLogins(from: TestBrowser, to: TestBrowser): void {
  for (const [name, value] of from.cookies) if (name.startsWith(loginCookiePrefix)) to.cookies.set(name, value);
}

async function grantReason(call: Promise<Page>): Promise<string> {
  const page = await call;
  return page.status === 200 ? "connected" : (JSON.parse(page.body) as { reason: string }).reason;
}

describe("a state", () => {
  test("is good once: replayed with its code, it changes nothing", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    expect((await browser.request(callback.url)).status).toBe(302);
    const calls = world.provider.tokenRequests;
    const replay = await browser.request(callback.url);
    expect([replay.status, textOf(replay), world.provider.tokenRequests]).toEqual([
      400,
      expect.stringContaining("no longer known"),
      calls,
    ]);
  });

  test("is of no use to another session, nor to another browser with the same session", async () => {
    const world = await startWorld(use);
    for (const stranger of [world.browser(otherSession), world.browser(), createBrowser(world.client)]) {
      const browser = world.browser();
      const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
      await stranger.request(prefix);
      expect(textOf(await stranger.request(callback.url))).toContain("no longer known");
      // Nor with the login's cookie, however they came by it.
      copyLogins(browser, stranger);
      const page = await stranger.request(callback.url);
      expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("This login was begun elsewhere")]);
    }
    expect([await grantReason(world.call(cookie)), await grantReason(world.call(victimCookie))]).toEqual([
      "grant_missing",
      "grant_missing",
    ]);
    expect(world.provider.tokenRequests).toBe(0);
  });

  test("is of no use after the browser's session has changed", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    browser.cookies.set(sessionCookie, otherSession);
    expect((await browser.request(callback.url)).status).toBe(403);
    expect(await grantReason(world.call(victimCookie))).toBe("grant_missing");
  });

  test("is of no use to the same session's other user", async () => {
    const world = await startWorld(use);
    const browser = world.browser(null);
    browser.cookies.set(webCookie, await world.token("session-1", "user-1"));
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    browser.cookies.set(webCookie, await world.token("session-1", "user-2"));
    expect((await browser.request(callback.url)).status).toBe(403);
  });

  test("is not used up by others who open its address: who began the login still finishes it", async () => {
    const world = await startWorld(use);
    const [browser, stranger] = [world.browser(), world.browser(otherSession)];
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    await stranger.request(prefix);
    expect((await stranger.request(callback.url)).status).toBe(400);
    copyLogins(browser, stranger);
    expect((await stranger.request(callback.url)).status).toBe(403);
    expect((await browser.request(callback.url)).status).toBe(302);
    expect(await grantReason(world.call(cookie))).toBe("connected");
  });

  test("ends after ten minutes", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    world.clock.shift(600_001);
    expect(textOf(await browser.request(callback.url))).toContain("It took longer than ten minutes");
  });

  test.each([
    "",
    "state=",
    "state=short",
    "state=a&state=b",
    `state=${"a".repeat(22)}`,
    "code=x",
    "state[]=a",
    "state=..%2f..%2fsession",
  ])("that nobody began is told so, and the provider is not asked: ?%s", async (query) => {
    const world = await startWorld(use);
    const page = await world.browser().request(`${prefix}callback?${query}`);
    expect([page.status, world.provider.tokenRequests]).toEqual([400, 0]);
  });
});

describe("a code", () => {
  test("of another login, injected into one's own, is not accepted", async () => {
    const world = await startWorld(use);
    const attacker = await world.browser(otherSession).visit(`${prefix}connect/crm`, {
      until: isCallback,
      edit: (url) => url.searchParams.set("login_hint", "attacker"),
    });
    const victim = world.browser();
    const callback = new URL((await victim.visit(`${prefix}connect/crm`, { until: isCallback })).url);
    callback.searchParams.set("code", new URL(attacker.url).searchParams.get("code") ?? "");
    const page = await victim.request(callback.href);
    expect([page.status, await grantReason(world.call(cookie))]).toEqual([503, "grant_missing"]);
  });

  test("that comes with another issuer, or with none where the provider names itself, is not redeemed (RFC 9207)", async () => {
    const world = await startWorld(use);
    for (const issuer of ["https://evil.example.com", undefined]) {
      const browser = world.browser();
      const callback = new URL((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
      if (issuer === undefined) callback.searchParams.delete("iss");
      else callback.searchParams.set("iss", issuer);
      expect([(await browser.request(callback.href)).status, world.provider.tokenRequests]).toEqual([503, 0]);
    }
    expect(await grantReason(world.call(cookie))).toBe("grant_missing");
    expect(world.service.events("connect_failed")[0]).toMatchObject({ reason: expect.stringContaining('"iss"') });
  });

  test("that names its provider is not redeemed where it is not known whether rightly, and the log says what to configure", async () => {
    const upstreams = ({ provider }: { provider: OidcServer }) => ({
      static: {
        tokenEndpoint: provider.tokenEndpoint,
        clientId: provider.client.id,
        clientSecret: "${env:SECRET}",
        connect: { authorizationEndpoint: `${provider.issuer}/auth`, scope: "openid" },
      },
    });
    const world = await startWorld(use, { upstreams });
    expect([(await world.browser().visit(`${prefix}connect/static`)).status, world.provider.tokenRequests]).toEqual([
      503, 0,
    ]);
    const reason = `iss is "${world.provider.issuer}" and no issuer is configured: if it is this provider, set issuer to it`;
    expect(world.service.events("connect_failed")).toMatchObject([{ upstream: "static", reason }]);
  });

  test("of one provider is not given to another one of ours that the login was begun at (mix-up)", async () => {
    const upstreams = ({ as }: { as: { issuer: string; client: { id: string } } }) => ({
      evil: { issuer: as.issuer, clientId: as.client.id, clientSecret: "${env:SECRET}", connect: { scope: "openid" } },
    });
    const world = await startWorld(use, { upstreams });
    const browser = world.browser();
    const atEvil = new URL((await browser.request(`${prefix}connect/evil`)).headers.get("location")?.[0] ?? "");
    expect(atEvil.origin).toBe(new URL(world.as.issuer).origin);
    // The malicious provider sends the browser on to the honest one, with the state that belongs to it.
    const honest = await browser.visit(`${prefix}connect/crm`, {
      until: isCallback,
      edit: (url) => mixUp(url, atEvil),
    });
    expect(new URL(honest.url).searchParams.get("state")).toBe(atEvil.searchParams.get("state"));
    const page = await browser.request(honest.url);
    expect([page.status, world.as.tokenRequests, world.provider.tokenRequests]).toEqual([503, 0, 0]);
  });
});

function mixUp(url: URL, other: URL): void {
  for (const name of ["state", "nonce", "code_challenge"])
    if (url.searchParams.has(name)) url.searchParams.set(name, other.searchParams.get(name) ?? "");
}
