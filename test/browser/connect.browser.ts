import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startChromium } from "./chromium.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

const use = resources("file");
/** With SCREENSHOTS=DIR the pages are kept there, to be looked at. */
const screenshots = process.env.SCREENSHOTS;

describe("in Chromium, through Envoy", () => {
  let world: BrowserWorld;
  let chromium: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  let hosts: Set<string>;

  beforeAll(async () => {
    world = await startBrowserWorld(use, { upstreams: ["calendar", "crm", "tracker", "wiki"] });
    chromium = await startChromium();
  });
  afterAll(() => chromium?.close());

  beforeEach(async () => {
    await context?.close();
    context = await chromium.newContext({ ignoreHTTPSErrors: true });
    page = await context.newPage();
    complaints = [];
    hosts = new Set();
    // The icon is asked for on the API's own pages; ours name one.
    page.on(
      "console",
      (message) =>
        void (
          message.type() === "error" &&
          !message.location().url.endsWith("/favicon.ico") &&
          complaints.push(message.text())
        ),
    );
    page.on("request", (request) => void hosts.add(new URL(request.url()).host));
  });

  const item = (upstream: string) =>
    page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: upstream, exact: true }) });
  const keep = async (name: string) =>
    screenshots && (await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true }));

  test("a user connects an account with a click, uses it, and takes it back", async () => {
    await page.goto(world.overview);
    expect(await page.title()).toBe("Connected accounts");
    await page.getByRole("link", { name: "Connect: crm" }).click();
    await page.waitForURL(world.overview);
    expect(await item("crm").textContent()).toMatch(/Connected since .* as ada@example\.com/);

    const answer = await page.goto(`${world.publicUrl}/crm/contacts`);
    expect([answer?.status(), await page.textContent("body")]).toEqual([200, expect.stringContaining('"ok":true')]);
    expect(world.api.requests.at(-1)?.headers).not.toHaveProperty("cookie");

    await page.goto(world.overview);
    await page.getByRole("button", { name: "Disconnect: crm" }).click();
    await expect.poll(() => item("crm").textContent()).toContain("Not connected");
    expect(page.url()).toBe(world.overview);
    expect(complaints).toEqual([]);
    expect([...hosts].sort()).toEqual([new URL(world.provider.issuer).host, new URL(world.publicUrl).host].sort());
  });

  test("a user who goes straight to an API is led to the provider and back to it", async () => {
    const answer = await page.goto(`${world.publicUrl}/wiki/pages?title=a%20b`);
    expect([answer?.status(), page.url()]).toEqual([200, `${world.publicUrl}/wiki/pages?title=a%20b`]);
    expect(await page.textContent("body")).toContain('"path":"/wiki/pages?title=a%20b"');
  });

  test("no script sees a cookie, and those of the session are marked for this host, over TLS, and not for other sites", async () => {
    await page.goto(`${world.publicUrl}/wiki/pages`);
    await page.goto(world.overview);
    expect(await page.evaluate("document.cookie")).toBe("");
    const cookies = (await context.cookies(world.publicUrl)).map(
      ({ name, httpOnly, secure, sameSite, path, domain }) => [name, httpOnly, secure, sameSite, path, domain],
    );
    expect(cookies.sort()).toEqual([
      ["__Host-bearerswap", true, true, "Lax", "/", "localhost"],
      ["__Host-bearerswap-browser", true, true, "Lax", "/", "localhost"],
    ]);
  });

  test("a cookie tossed by another site of the domain, which only looks like ours, puts nobody's session in the place of the user's", async () => {
    const attackers = await chromium.newContext({ ignoreHTTPSErrors: true });
    const attacker = await attackers.newPage();
    await attacker.goto(`${world.publicUrl}/tracker/issues`);
    const stolen = await attackers.cookies(world.publicUrl);
    await page.goto(`${world.publicUrl}/favicon.ico`);
    for (const { name, value } of stolen) {
      for (const look of [`foo=x,${name}`, `\u2000${name}`, `\u00a0${name}`, `\ufeff${name}`]) {
        await page.evaluate(
          (text) => void Reflect.set(Reflect.get(globalThis, "document"), "cookie", text),
          `${look}=${value}; path=/; secure`,
        );
      }
    }
    expect(await page.evaluate("document.cookie.split('; ').length")).toBe(3 * stolen.length + 1); // of those named "foo" the last one
    const answer = await page.goto(`${world.publicUrl}/wiki/pages`);
    expect(answer?.status()).toBe(200);
    await page.goto(world.overview);
    expect([await item("wiki").textContent(), await item("tracker").textContent()]).toEqual([
      expect.stringContaining("Connected since"),
      expect.stringContaining("Not connected"),
    ]);
    await attacker.goto(world.overview);
    expect(await attacker.getByRole("listitem").filter({ hasText: "wiki" }).textContent()).toContain("Not connected");
    await attackers.close();
  });

  test("a form of another site disconnects nothing", async () => {
    await page.goto(`${world.publicUrl}/wiki/pages`);
    await page.goto(world.overview);
    const action = await page.locator("form").first().getAttribute("action");
    const evil = await context.newPage();
    await evil.goto(`${world.provider.issuer}/.well-known/openid-configuration`);
    await evil.setContent(`<form method="post" action="${action}"><button>Win a prize</button></form>`);
    await evil.getByRole("button").click();
    await expect.poll(() => evil.title()).not.toBe("");
    await page.goto(world.overview);
    expect(await item("wiki").textContent()).toContain("Connected since");
  });

  test("everything is reached with the keyboard, in the order it is read", async () => {
    await page.goto(world.overview);
    const names: (string | null)[] = [];
    for (let presses = 0; presses < 4; presses++) {
      await page.keyboard.press("Tab");
      names.push(await page.evaluate("document.activeElement.getAttribute('aria-label')"));
    }
    expect(names).toEqual(["Connect: calendar", "Connect: crm", "Connect: tracker", "Connect: wiki"]);
    await page.keyboard.press("Enter");
    await expect.poll(() => item("wiki").textContent()).toContain("Connected since");
  });

  test("each state of a connection is told in words; the page fits 320 pixels, in light and dark", async () => {
    await page.goto(world.overview);
    for (const upstream of ["crm", "tracker", "wiki"]) {
      await page.getByRole("link", { name: `Connect: ${upstream}` }).click();
      await page.waitForURL(world.overview);
    }
    world.clock.shift(3_700_000);
    world.provider.failNext(400, {}, { error: "invalid_grant" });
    await page.request.get(`${world.publicUrl}/wiki/pages`);
    world.provider.failNext(503);
    await page.request.get(`${world.publicUrl}/tracker/issues`);
    await page.goto(world.overview);
    const words = {
      calendar: "Not connected",
      crm: "Connected since",
      tracker: "Trouble at the provider",
      wiki: "Needs a new login",
    };
    for (const [upstream, text] of Object.entries(words)) expect(await item(upstream).textContent()).toContain(text);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [name, width] of Object.entries({ wide: 760, narrow: 320 })) {
        await page.setViewportSize({ width, height: 700 });
        expect(await page.evaluate("document.scrollingElement.scrollWidth")).toBe(width);
        await keep(`connected-accounts-${colorScheme}-${name}`);
      }
    }
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(13, 17, 23)");
    expect(complaints).toEqual([]);
  });

  test("a page that says what went wrong is announced and leads on", async () => {
    await page.goto(`${world.overview}callback?state=lost`);
    const alert = page.getByRole("alert");
    expect(await alert.textContent()).toContain("It took longer than ten minutes");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 320, height: 500 });
    expect(await page.evaluate("document.scrollingElement.scrollWidth")).toBe(320);
    await keep("lost-login");
    await alert.getByRole("link", { name: "Show my connections" }).click();
    await page.waitForURL(world.overview);
  });
});
