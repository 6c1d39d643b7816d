import { expect } from "vitest";
import type { Resources } from "../support/resources.ts";
import { type Page, prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, startWorld, type WorldOptions } from "./harness.ts";

export const loginUrl = `${prefix}login/agents`;

/** A world whose bearer sessions are their subjects, so that people can log in on the page. */
export function startPageWorld(use: Resources, options: WorldOptions = {}): Promise<ConnectWorld> {
  return startWorld(use, { ...options, agents: { claim: "sub", ...options.agents } });
}

/** The user is `user` at the session's issuer, and `account` at the upstream's provider. */
export function as(user: string, { as: issuer }: ConnectWorld, account = "crm-account") {
  return {
    edit: (url: URL) => url.searchParams.set("login_hint", url.href.startsWith(issuer.issuer) ? user : account),
  };
}

/** Logs a user in on the page, in a browser that is new unless given. */
export async function loggedIn(
  world: ConnectWorld,
  user = "user-1",
  browser = world.browser(null),
): Promise<TestBrowser> {
  const page = await browser.visit(loginUrl, as(user, world));
  expect([page.url, page.status, textOf(page)]).toEqual([
    prefix,
    200,
    expect.stringContaining(`logged in as ${user} at`),
  ]);
  return browser;
}

/** Presses the button whose form leads to an address that begins like this. */
export async function press(browser: TestBrowser, page: Page, action: string): Promise<Page> {
  return browser.visit(addressIn(page, action), { method: "POST", headers: { origin: publicUrl } });
}

/** The first address in a page that begins so. */
export function addressIn({ body }: Page, start: string): string {
  const found = [...body.matchAll(/(?:href|action)="([^"]+)"/g)].map(([, url = ""]) => url.replaceAll("&amp;", "&"));
  return found.find((url) => url.startsWith(`${prefix}${start}`)) ?? "";
}

/** All cookies of a browser, as a request brings them. */
export function cookiesOf(browser: TestBrowser): { readonly cookie: string } {
  return { cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") };
}
