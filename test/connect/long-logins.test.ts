import { expect, test } from "vitest";
import { loginCookiePrefix, longestLoginCookie } from "../../src/connect/login-cookies.ts";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, isCallback, startWorld, webCookie } from "./harness.ts";

const use = resources();
/** As long as a way back may be. */
const longestPath = `/contacts?q=${"a".repeat(2_048 - "/contacts?q=".length)}`;

async function browserOf(world: ConnectWorld, subject: string): Promise<TestBrowser> {
  const browser = world.browser(null);
  browser.cookies.set(webCookie, await world.token("session-1", subject));
  return browser;
}

/** Name and value together, as browsers count. */
function lengthsOf({ cookies }: TestBrowser): number[] {
  return [...cookies]
    .filter(([name]) => name.startsWith(loginCookiePrefix))
    .map(([name, value]) => name.length + value.length);
}

const connectFor = (returnTo: string) => `${prefix}connect/crm?${new URLSearchParams({ return_to: returnTo })}`;
const fits = expect.toSatisfy((length: number) => length > 100 && length <= longestLoginCookie);

test("the longest way back is kept for a user whose name is as long as names are", async () => {
  const world = await startWorld(use);
  const browser = await browserOf(world, "u".repeat(100));
  const { url } = await browser.visit(connectFor(longestPath), { until: isCallback });
  expect(lengthsOf(browser)).toEqual([fits]);
  expect((await browser.request(url)).headers.get("location")).toEqual([`${publicUrl}${longestPath}`]);
});

test.each([
  ["long", "u".repeat(600)],
  ["long in bytes", "\u00fc\u4e2d".repeat(120)],
])(
  "beside a subject that is %s the way back is given up, and the login ends on the page of accounts",
  async (_, subject) => {
    const world = await startWorld(use);
    const browser = await browserOf(world, subject);
    const { url } = await browser.visit(connectFor(longestPath), { until: isCallback });
    expect(lengthsOf(browser)).toEqual([fits]);
    expect((await browser.request(url)).headers.get("location")).toEqual([prefix]);
    expect(textOf(await browser.visit(prefix))).toContain("crm Connected since");
    expect((await browser.visit(`${publicUrl}/contacts`)).body).toBe("let through");
  },
);

test("beside a subject that fits into no cookie the user is told so, and nothing is begun", async () => {
  const world = await startWorld(use);
  const browser = await browserOf(world, "u".repeat(3_000));
  for (const address of [connectFor("/contacts"), `${prefix}connect/crm`]) {
    const page = await browser.request(address);
    expect([page.status, textOf(page)]).toEqual([
      400,
      expect.stringContaining("The session it is for is too long to connect an account to"),
    ]);
    expect(page.headers.has("set-cookie")).toBe(false);
  }
});

test("a page whose address is too long to come back to leads to the login all the same, and that to the page of accounts", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const address = `${publicUrl}${longestPath}b`;
  const denied = await browser.request(address);
  expect([denied.status, denied.headers.get("location")]).toEqual([302, [`${prefix}connect/crm`]]);
  const page = await browser.visit(address);
  expect([page.url, textOf(page)]).toEqual([prefix, expect.stringContaining("crm Connected since")]);
  expect((await browser.visit(address)).body).toBe("let through");
});

test("the longest way back survives every address on its way, also one that percent-encoding makes three times as long", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const path = `/contacts?${"&".repeat(2_048 - "/contacts?".length)}`;
  const page = await browser.visit(`${publicUrl}${path}`);
  expect([page.url, page.body]).toEqual([`${publicUrl}${path}`, "let through"]);
});

test("a page of ours asked for by an address longer than any is refused in words, begins nothing, and ends no login", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const { url } = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  for (const address of [
    `${prefix}connect/crm?x=${"a".repeat(9_000)}`,
    connectFor(`${longestPath}b`),
    `${url}&x=${"a".repeat(9_000)}`,
  ]) {
    const page = await browser.request(address);
    expect([page.status, textOf(page)]).toEqual([400, expect.stringContaining("This link cannot be used")]);
    expect(page.headers.has("set-cookie")).toBe(false);
  }
  expect([lengthsOf(browser), world.provider.tokenRequests]).toEqual([[fits], 0]);
  expect((await browser.request(url)).status).toBe(302);
});
