import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { isCallback, startWorld } from "./harness.ts";

const use = resources();
const hourMs = 3_600_000;

function cookiesOf(browser: TestBrowser): Record<string, string> {
  return { cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") };
}

test("an id that a browser brings before it has connected anything becomes no session: a new one is issued", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  const planted = "p".repeat(44);
  browser.cookies.set("__Host-bearerswap", planted);
  expect((await world.call({ cookie: `__Host-bearerswap=${planted}` })).status).toBe(401);
  await browser.visit(`${publicUrl}/contacts`);
  expect(browser.cookies.get("__Host-bearerswap")).not.toBe(planted);
  expect((await world.call({ cookie: `__Host-bearerswap=${planted}` })).status).toBe(401);
  expect((await world.call(cookiesOf(browser))).status).toBe(200);
});

test("a second account joins the same session", async () => {
  const world = await startWorld(use, {
    issue: true,
    upstreams: ({ as }) => ({
      wiki: { issuer: as.issuer, clientId: as.client.id, clientSecret: "${env:SECRET}", connect: { scope: "openid" } },
    }),
  });
  const browser = world.browser(null);
  await browser.visit(`${prefix}connect/crm`);
  const id = browser.cookies.get("__Host-bearerswap");
  const page = await browser.visit(`${prefix}connect/wiki`);
  if (page.url !== prefix) expect(textOf(page)).toContain("wiki is connected for a short time");
  expect(browser.cookies.get("__Host-bearerswap")).toBe(id);
  expect(textOf(await browser.visit(prefix))).toMatch(/crm Connected since.*wiki Connected since/);
});

test("a login begun before the session and finished within it belongs to it, and to no other one", async () => {
  const world = await startWorld(use, { issue: true });
  const [mine, other] = [world.browser(null), world.browser(null)];
  const begun = await mine.visit(`${prefix}connect/crm`, { until: isCallback });
  await other.visit(`${prefix}connect/crm`);
  mine.cookies.set("__Host-bearerswap", other.cookies.get("__Host-bearerswap") ?? "");
  expect((await mine.request(begun.url)).status).toBe(302);
  expect(mine.cookies.get("__Host-bearerswap")).toBe(other.cookies.get("__Host-bearerswap"));
});

test("a session ends after so long without use, and lives on with it", async () => {
  const world = await startWorld(use, { issue: { idle: "2h", absolute: "30d" } });
  const [used, idle] = [world.browser(null), world.browser(null)];
  for (const browser of [used, idle]) await browser.visit(`${prefix}connect/crm`);
  world.clock.shift(1.5 * hourMs);
  expect((await world.call(cookiesOf(used))).status).toBe(200);
  world.clock.shift(1.5 * hourMs);
  expect([(await world.call(cookiesOf(used))).status, (await world.call(cookiesOf(idle))).status]).toEqual([200, 401]);
  expect(textOf(await idle.visit(prefix))).toContain("crm Not connected");
});

test("a session ends at its absolute lifetime, however much it was used, and connecting begins a new one", async () => {
  const world = await startWorld(use, { issue: { idle: "2h", absolute: "5h" } });
  const browser = world.browser(null);
  await browser.visit(`${prefix}connect/crm`);
  const first = browser.cookies.get("__Host-bearerswap");
  for (const expected of [200, 200, 200, 200, 401]) {
    world.clock.shift(1.1 * hourMs);
    expect((await world.call(cookiesOf(browser))).status).toBe(expected);
  }
  expect((await browser.visit(`${publicUrl}/contacts`)).body).toBe("let through");
  expect(browser.cookies.get("__Host-bearerswap")).not.toBe(first);
});
