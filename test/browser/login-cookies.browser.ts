import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Cookie, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loginCookiePrefix, longestLoginCookie } from "../../src/connect/login-cookies.ts";
import { resources } from "../support/resources.ts";
import { startChromium, startChromiumProfile } from "./chromium.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

const use = resources("file");

describe("cookies of logins under way, in Chromium, through Envoy", () => {
  let world: BrowserWorld;
  let chromium: Browser;
  let context: BrowserContext;
  let page: Page;

  beforeAll(async () => {
    world = await startBrowserWorld(use, { upstreams: ["crm", "wiki"], asksUsers: true });
    chromium = await startChromium();
  });
  afterAll(async () => {
    await context?.close();
    await chromium?.close();
  });

  beforeEach(async () => {
    await context?.close();
    context = await chromium.newContext({ ignoreHTTPSErrors: true });
    page = await context.newPage();
    world.api.requests.length = 0;
  });

  /** Names in the order in which the logins began. */
  async function logins(): Promise<Cookie[]> {
    const all = await context.cookies(world.publicUrl);
    return all
      .filter(({ name }) => name.startsWith(loginCookiePrefix))
      .sort((a, b) => Number.parseInt(a.value, 10) - Number.parseInt(b.value, 10));
  }

  const namesOf = (cookies: readonly Cookie[]) => cookies.map(({ name }) => name);

  /** A tab that is at the provider's login page. The next login begins a second later by the service's clock. */
  async function begin(address = `${world.overview}connect/crm`): Promise<Page> {
    const tab = await context.newPage();
    await tab.goto(address);
    expect(new URL(tab.url()).origin).toBe(world.provider.issuer);
    world.clock.shift(1_000);
    return tab;
  }

  async function logIn(tab: Page): Promise<void> {
    await tab.getByRole("button", { name: "Log in and allow" }).click();
    await tab.waitForURL(`${world.publicUrl}/**`);
  }

  test("of six logins in six tabs the oldest is given up; the others finish, and each cookie ends with its login", async () => {
    await page.goto(world.overview);
    const startedAt = Date.now() / 1_000;
    const tabs: { readonly tab: Page; readonly cookie: string }[] = [];
    for (let count = 1; count <= 6; count++) {
      const tab = await begin();
      const cookies = await logins();
      expect(cookies).toHaveLength(Math.min(count, 5));
      tabs.push({ tab, cookie: cookies.at(-1)?.name ?? "" });
    }
    const kept = await logins();
    expect(namesOf(kept)).toEqual(tabs.slice(1).map(({ cookie }) => cookie));
    for (const { name, value, expires, ...attributes } of kept) {
      expect(attributes).toMatchObject({
        httpOnly: true,
        secure: true,
        sameSite: "Lax",
        path: "/",
        domain: "localhost",
      });
      expect(name.length + value.length).toBeLessThanOrEqual(longestLoginCookie);
      expect([expires > startedAt + 590, expires <= Date.now() / 1_000 + 600]).toEqual([true, true]);
    }
    expect(await page.evaluate("document.cookie")).toBe("");

    const [given, first, ...rest] = tabs;
    if (given === undefined || first === undefined) throw new Error("no tabs");
    await logIn(given.tab);
    expect(await given.tab.getByRole("alert").textContent()).toContain("begin again");
    expect(namesOf(await logins())).toEqual(namesOf(kept));
    await logIn(first.tab);
    expect([first.tab.url(), namesOf(await logins())]).toEqual([world.overview, rest.map(({ cookie }) => cookie)]);

    // What goes upstream while the others are still under way holds none of them, and the site's own cookie as it is.
    await context.addCookies([{ name: "theme", value: "dark", url: world.publicUrl }]);
    expect((await page.goto(`${world.publicUrl}/crm/contacts`))?.status()).toBe(200);
    expect(world.api.requests.map(({ path, headers }) => [path, headers.cookie])).toContainEqual([
      "/crm/contacts",
      "theme=dark",
    ]);
    expect(JSON.stringify(world.api.requests)).not.toContain("bearerswap");

    for (const { tab } of rest.toReversed()) {
      await logIn(tab);
      expect(tab.url()).toBe(world.overview);
    }
    expect(await logins()).toEqual([]);
  });

  test("a login that was used does not come back with the browser's back button", async () => {
    const tab = await begin();
    const back = tab.waitForRequest((request) => request.url().startsWith(`${world.overview}callback`));
    await logIn(tab);
    const callback = (await back).url();
    const calls = world.provider.tokenRequests;
    await tab.goBack();
    await tab.goto(callback);
    expect(await tab.getByRole("alert").textContent()).toContain("it was finished already");
    expect([await logins(), world.provider.tokenRequests]).toEqual([[], calls]);
  });

  test("another site that loads our addresses in images, frames and scripts neither begins a login nor ends one", async () => {
    await context.close();
    const profile = mkdtempSync(join(tmpdir(), "bearerswap-chromium-"));
    use.onStop(() => rmSync(profile, { recursive: true, force: true }));
    context = await startChromiumProfile(profile);
    const tab = await begin(`${world.publicUrl}/wiki/pages`);
    const before = await context.cookies(world.publicUrl);
    const evil = await context.newPage();
    await evil.goto(`${world.provider.issuer}/.well-known/openid-configuration`);
    const kinds = ["image", "frame", "hidden", "script", "style"];
    const ended = new Map<string, number | string | undefined>();
    const end = (url: string, how: number | string | undefined) =>
      void (url.startsWith(world.overview) && ended.set(url.split("?")[1] ?? "", how));
    evil.on("response", (response) => end(response.url(), response.status()));
    evil.on("requestfailed", (request) => end(request.url(), request.failure()?.errorText));
    const [image, frame, hidden, script, style] = kinds.map((kind) => `${world.overview}connect/crm?${kind}`);
    await evil.setContent(
      `<img src="${image}"><iframe src="${frame}"></iframe><iframe hidden src="${hidden}"></iframe>` +
        `<script src="${script}"></script><link rel="stylesheet" href="${style}">`,
    );
    const blocked = "net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin";
    await expect
      .poll(() => Object.fromEntries(ended))
      .toEqual({ image: blocked, frame: 302, hidden: 302, script: blocked, style: blocked });
    expect(await context.cookies(world.publicUrl)).toEqual(before);
    await logIn(tab);
    expect([tab.url(), await tab.textContent("body")]).toEqual([
      `${world.publicUrl}/wiki/pages`,
      expect.stringContaining('"ok":true'),
    ]);
  });
});
