import { describe, expect, test } from "vitest";
import { browserCookie } from "../../src/connect/browser.ts";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, isCallback, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

const use = resources();
const issuedCookie = "__Host-bearerswap";
const attackers = "YXR0YWNrZXJzLW93bi1zZXNzaW9u";

/** What a site next door can set for the whole domain, so that a careless reader takes it for the cookie `name`. */
const toss: readonly ((name: string) => string)[] = [
  (name) => `foo=x,${name}`,
  ...["\u2000", "\u00a0", "\ufeff"].map((space) => (name: string) => `${Buffer.from(space).toString("latin1")}${name}`),
];

/** The browser's cookies as a request brings them. */
function cookiesOf(browser: TestBrowser): { readonly cookie: string } {
  return { cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") };
}

async function isConnected(world: ConnectWorld, cookie: string): Promise<boolean> {
  return (await world.call({ cookie })).status === 200;
}

describe.each(toss)("a tossed cookie that only looks like", (look) => {
  test("the issued session's gives the user's account to nobody else", async () => {
    const world = await startWorld(use, { issue: true, upstreams: ({ as }) => ({ wiki: wikiAt(as) }) });
    const attacker = world.browser(null);
    await attacker.visit(`${prefix}connect/wiki`);
    const stolen = attacker.cookies.get(issuedCookie) ?? "";
    const user = world.browser(null);
    user.cookies.set(look(issuedCookie), stolen);
    await user.visit(`${publicUrl}/contacts`);
    expect([
      await isConnected(world, `${issuedCookie}=${stolen}`),
      await isConnected(world, cookiesOf(user).cookie),
    ]).toEqual([false, true]);
    expect(textOf(await attacker.visit(prefix))).toContain("crm Not connected");
    expect(textOf(await user.visit(prefix))).toContain("crm Connected since");
  });

  test("an opaque or a JWT session's signs nobody in", async () => {
    const world = await startWorld(use);
    await world.browser(attackers).visit(`${prefix}connect/crm`);
    expect(await isConnected(world, `${sessionCookie}=${attackers}`)).toBe(true);
    const asAttacker = world.browser(null);
    const jwt = await world.token("attackers", "user-1");
    asAttacker.cookies.set(webCookie, jwt);
    await asAttacker.visit(`${prefix}connect/crm`);
    expect(await isConnected(world, `${webCookie}=${jwt}`)).toBe(true);
    expect(await isConnected(world, `${look(sessionCookie)}=${attackers}`)).toBe(false);
    expect(await isConnected(world, `${look(webCookie)}=${jwt}`)).toBe(false);
  });

  test("the user's own does not sign the user out", async () => {
    const world = await startWorld(use);
    const user = world.browser();
    await user.visit(`${prefix}connect/crm`);
    const own = `${sessionCookie}=${sessionValue}`;
    for (const cookie of [
      `${look(sessionCookie)}=${attackers}; ${own}`,
      `${own}; ${look(sessionCookie)}=${attackers}`,
    ]) {
      expect(await isConnected(world, cookie)).toBe(true);
    }
  });

  test("the browser's cookie finishes nobody else's login", async () => {
    const world = await startWorld(use, { issue: true });
    const attacker = world.browser(null);
    const callback = await attacker.visit(`${prefix}connect/crm`, { until: isCallback });
    const user = world.browser(null);
    user.cookies.set(look(browserCookie), attacker.cookies.get(browserCookie) ?? "");
    // The login's cookie too, as if it could be tossed: the browser's must still be the right one.
    for (const [name, value] of attacker.cookies) if (name.startsWith(loginCookiePrefix)) user.cookies.set(name, value);
    const page = await user.request(callback.url);
    expect([page.status, user.cookies.get(issuedCookie), world.provider.tokenRequests]).toEqual([403, undefined, 0]);
  });
});

function wikiAt(as: { readonly issuer: string; readonly client: { readonly id: string } }): object {
  return { issuer: as.issuer, clientId: as.client.id, clientSecret: "${env:SECRET}", connect: { scope: "openid" } };
}
