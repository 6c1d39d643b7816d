import type { Browser } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { type BrowserName, startBrowser } from "./browsers.ts";
import { newVisitor, type PageVisitor } from "./visitor.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

const use = resources("file");
const titles = { calendar: "Team calendar", crm: "Customers & leads", wiki: "Wiki" };

describe.each<BrowserName>(["Chromium", "Firefox"])("in %s, through Envoy", (name) => {
  let world: BrowserWorld;
  let browser: Browser;
  let me: PageVisitor;

  beforeAll(async () => {
    world = await startBrowserWorld(use, { upstreams: ["calendar", "crm", "tracker", "wiki"], titles });
    browser = await startBrowser(name);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    me = await newVisitor(browser);
  });
  afterEach(() => me?.context.close());

  const cookiesOf = async (visitor: PageVisitor) =>
    (await visitor.context.cookies()).filter(({ name: cookie }) => cookie.startsWith("__Host-bearerswap"));

  /** How wide the window is, and whether everything is within it, beside a scroll bar that takes room. */
  const fits = () =>
    me.page.evaluate("[innerWidth, document.scrollingElement.scrollWidth <= document.documentElement.clientWidth]");

  test("a user connects an account with a click, uses it, and takes it back", async () => {
    await me.goto(world.overview);
    expect(await me.page.title()).toBe("Connected accounts");
    await me.press("Connect: Customers & leads", world.overview);
    expect(await me.entry("Customers & leads")).toMatch(/Connected since .* as ada@example\.com/);

    expect(await me.goto(`${world.publicUrl}/crm/contacts`)).toBe(200);
    expect(await me.text()).toContain('"ok":true');
    expect(world.api.requests.at(-1)?.headers).not.toHaveProperty("cookie");

    await me.goto(world.overview);
    await me.press("Disconnect: Customers & leads", world.overview);
    expect(await me.entry("Customers & leads")).toContain("Not connected");
    expect([me.page.url(), me.complaints]).toEqual([world.overview, []]);
    expect([...me.hosts].sort()).toEqual([new URL(world.provider.issuer).host, new URL(world.publicUrl).host].sort());
  });

  test("an agent's user logs in on the page, connects the account before the agent needs it, and logs out", async () => {
    const { id_token } = await world.provider.login({ account: "user-1" });
    const agent = { authorization: `Bearer ${id_token}` };
    await me.goto(world.overview);
    await me.press(`Log in at ${new URL(world.provider.issuer).host}`, world.overview);
    expect(await me.text()).toContain("You are logged in as user-1 at");
    expect(await me.entry("Wiki")).toContain("Not connected");
    await me.press("Connect: Wiki", world.overview);
    expect(await me.entry("Wiki")).toContain("Connected since");

    // A page of the same site that lets its scripts ask for things, and whose cookies no API sees.
    await me.goto(`${world.publicUrl}/favicon.ico`);
    expect([await me.fetch("/wiki/pages", agent), await me.fetch("/wiki/pages")]).toEqual([200, 401]);
    me.complaints.length = 0; // The console tells of the 401.
    expect(world.api.requests.at(-1)?.headers).not.toHaveProperty("cookie");

    await me.goto(world.overview);
    expect((await cookiesOf(me)).map((cookie) => cookie.name).sort()).toEqual([
      "__Host-bearerswap-browser",
      "__Host-bearerswap-page",
    ]);
    await me.press("Log out", world.overview);
    expect(await me.text()).toContain("Log in at");
    expect(await me.entry("Wiki")).toContain("Not connected");
    expect((await cookiesOf(me)).map((cookie) => cookie.name)).toEqual(["__Host-bearerswap-browser"]);
    expect(me.complaints).toEqual([]);
  });

  test("a user who goes straight to an API is led to the provider and back to it", async () => {
    expect(await me.goto(`${world.publicUrl}/wiki/pages?title=a%20b`)).toBe(200);
    expect(me.page.url()).toBe(`${world.publicUrl}/wiki/pages?title=a%20b`);
    expect(await me.text()).toContain('"path":"/wiki/pages?title=a%20b"');
  });

  test("no script sees a cookie, and those of sessions are marked for this host, over TLS, and not for other sites", async () => {
    await me.goto(`${world.publicUrl}/wiki/pages`);
    await me.goto(world.overview);
    await me.press(`Log in at ${new URL(world.provider.issuer).host}`, world.overview);
    expect(await me.page.evaluate("document.cookie")).toBe("");
    const attributes = (await cookiesOf(me)).map(({ name: cookie, httpOnly, secure, sameSite, path, domain }) => [
      cookie,
      httpOnly,
      secure,
      String(sameSite).toLowerCase(),
      path,
      domain,
    ]);
    expect(attributes.sort()).toEqual([
      ["__Host-bearerswap", true, true, "lax", "/", "localhost"],
      ["__Host-bearerswap-browser", true, true, "lax", "/", "localhost"],
      ["__Host-bearerswap-page", true, true, "lax", "/", "localhost"],
    ]);
  });

  test("a cookie tossed by another site of the domain, which only looks like ours, puts nobody's session in the place of the user's", async () => {
    const attacker = await newVisitor(browser);
    await attacker.goto(`${world.publicUrl}/tracker/issues`);
    const stolen = await cookiesOf(attacker);
    expect(stolen.length).toBeGreaterThan(1);
    await me.goto(`${world.publicUrl}/favicon.ico`);
    for (const { name: cookie, value } of stolen)
      for (const look of [`foo=x,${cookie}`, `\u2000${cookie}`, `\u00a0${cookie}`, `\ufeff${cookie}`])
        await me.page.evaluate(`void (document.cookie = ${JSON.stringify(`${look}=${value}; path=/; secure`)})`);
    expect(await me.page.evaluate("document.cookie.split('; ').length")).toBe(3 * stolen.length + 1); // of those named "foo" the last one
    expect(await me.goto(`${world.publicUrl}/wiki/pages`)).toBe(200);
    await me.goto(world.overview);
    expect([await me.entry("Wiki"), await me.entry("tracker")]).toEqual([
      expect.stringContaining("Connected since"),
      expect.stringContaining("Not connected"),
    ]);
    await attacker.goto(world.overview);
    expect(await attacker.entry("Wiki")).toContain("Not connected");
    await attacker.context.close();
  });

  test("a form of another site disconnects nothing and logs nobody out", async () => {
    await me.goto(world.overview);
    await me.press(`Log in at ${new URL(world.provider.issuer).host}`, world.overview);
    await me.press("Connect: tracker", world.overview);
    for (const form of ["disconnect/tracker", "logout"]) {
      const action = await me.page.$eval(`form[action*="${form}"]`, (element) => element.getAttribute("action"));
      await me.goto(`${world.provider.issuer}/.well-known/openid-configuration`);
      const prize = `<form method="post" action="${action}"></form>`;
      await me.page.evaluate(`void (document.body.innerHTML = ${JSON.stringify(prize)})`);
      await Promise.all([me.page.waitForNavigation(), me.page.evaluate("document.forms[0].submit()")]);
      expect(await me.text()).toContain("Nothing was changed");
      await me.goto(world.overview);
      expect([await me.text(), await me.entry("tracker")]).toEqual([
        expect.stringContaining("You are logged in as"),
        expect.stringContaining("Connected since"),
      ]);
    }
  });

  test("everything is reached with the keyboard, in the order it is read", async () => {
    await me.goto(world.overview);
    const names: unknown[] = [];
    for (let presses = 0; presses < 5; presses++) {
      await me.page.keyboard.press("Tab");
      names.push(
        await me.page.evaluate(
          "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent",
        ),
      );
    }
    expect(names).toEqual([
      ...["Connect: Team calendar", "Connect: Customers & leads", "Connect: tracker", "Connect: Wiki"],
      `Log in at ${new URL(world.provider.issuer).host}`,
    ]);
    await me.page.keyboard.down("Shift");
    await me.page.keyboard.press("Tab");
    await me.page.keyboard.up("Shift");
    await me.page.keyboard.press("Enter");
    await expect.poll(() => me.entry("Wiki").catch(() => "")).toContain("Connected since");
  });

  test("each state of a connection is told in words; the page fits 320 pixels, in light and dark", async () => {
    await me.goto(world.overview);
    for (const title of ["Customers & leads", "tracker", "Wiki"]) await me.press(`Connect: ${title}`, world.overview);
    await me.goto(`${world.publicUrl}/crm/contacts`);
    world.clock.shift(3_700_000);
    world.provider.failNext(400, {}, { error: "invalid_grant" });
    expect(await me.fetch("/wiki/pages")).toBe(401);
    world.provider.failNext(503);
    expect(await me.fetch("/tracker/issues")).toBe(503);
    me.complaints.length = 0; // The console tells of both.
    await me.goto(world.overview);
    const words = {
      "Team calendar": "Not connected",
      "Customers & leads": "Connected since",
      tracker: "Trouble at the provider",
      Wiki: "Needs a new login",
    };
    for (const [title, text] of Object.entries(words)) expect(await me.entry(title)).toContain(text);
    for (const scheme of name === "Chromium" ? ["light", "dark"] : ["dark"]) {
      if (name === "Chromium") await me.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      for (const [size, width] of Object.entries({ wide: 760, narrow: 320 })) {
        await me.page.setViewport({ width, height: 700 });
        expect(await fits()).toEqual([width, true]);
        await me.keep(`connected-accounts-${name}-${scheme}-${size}`);
      }
    }
    expect(await me.page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(13, 17, 23)");
    expect(me.complaints).toEqual([]);
  });

  test("a page that says what went wrong is announced and leads on", async () => {
    await me.goto(`${world.overview}callback?state=lost`);
    const alert = await me.page.$eval('[role="alert"]', (element) => element.textContent);
    expect(alert).toContain("It took longer than ten minutes");
    await me.page.setViewport({ width: 320, height: 500 });
    expect(await fits()).toEqual([320, true]);
    await me.keep(`lost-login-${name}`);
    await me.press("Show my connections", world.overview);
    expect(me.page.url()).toBe(world.overview);
  });
});
