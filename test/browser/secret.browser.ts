import type { Browser } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createCertificateAuthority } from "../support/certificates.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { startKeyApi } from "../support/key-api.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { type BrowserName, startBrowser } from "./browsers.ts";
import { newVisitor, type PageVisitor } from "./visitor.ts";

const { use } = resources("file");
const goodKey = "pat-0123456789abcdef";

/** A real Envoy with TLS in front of an API that takes keys, and users without any session but the one they get here. */
async function startWorld() {
  const port = await freePort();
  const publicUrl = `https://localhost:${port}`;
  const [ca, api] = [await use(createCertificateAuthority()), await use(startKeyApi())];
  const secret = {
    label: "Personal access token",
    help: "https://ghes.example.com/settings/tokens",
    verify: { url: `${api.url}/user` },
  };
  const config = {
    sessions: [{ cookie: { issue: true } }],
    upstreams: { ghes: { displayName: "GitHub at work", secret, inject: { format: "token {token}" } } },
    connect: { publicUrl },
    routes: [{ pathPrefix: "/repos", upstream: "ghes" }],
  };
  const service = await use(startService({ config }));
  const extAuthz = { with_request_body: { max_request_bytes: 16_384, allow_partial_message: true } };
  const setup = { service: service.grpc, upstreamPort: api.port, upstream: null, port, tls: await ca.server() };
  await use(startEnvoy({ config: envoyConfig({ ...setup, extAuthz }) }));
  return { publicUrl, overview: `${publicUrl}/_bearerswap/`, api, service };
}

describe.each<BrowserName>(["Chromium", "Firefox"])("in %s, through Envoy", (name) => {
  let world: Awaited<ReturnType<typeof startWorld>>;
  let browser: Browser;
  let me: PageVisitor;

  beforeAll(async () => {
    world = await startWorld();
    browser = await startBrowser(name);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    world.api.good.add(`token ${goodKey}`);
    me = await newVisitor(browser);
  });
  afterEach(() => me?.context.close());

  /** The heading has the same name. */
  const send = () => me.page.locator(`::-p-aria([name="Connect GitHub at work"][role="button"])`).click();

  async function enter(secret: string, to: string): Promise<void> {
    await me.page.locator("#secret").fill(secret);
    await Promise.all([me.page.waitForNavigation(), send()]);
    await expect.poll(() => me.page.url()).toMatch(new RegExp(`^${to}`));
  }

  test("a user who goes straight to the API enters a secret, and is back at what was asked for", async () => {
    const address = `${world.publicUrl}/repos?page=2`;
    expect(await me.goto(address)).toBe(200);
    expect(me.page.url()).toMatch(/\/_bearerswap\/secret\/ghes\?state=/);
    expect(await me.page.title()).toBe("Connect GitHub at work");
    await me.keep(`secret-form-${name}`);

    await enter("pat-of-nobody", `${world.publicUrl}/_bearerswap/secret/ghes`);
    expect(await me.text()).toContain("GitHub at work does not accept it. Nothing was kept.");
    expect(await me.page.evaluate("document.getElementById('secret').value")).toBe("");
    await me.keep(`secret-refused-${name}`);
    me.complaints.length = 0; // The console tells of the 403.

    await me.page.locator("#secret").fill(goodKey);
    await send();
    await expect.poll(() => me.page.url()).toBe(address);
    await expect.poll(() => me.text()).toContain('"ok":true');
    expect(world.api.requests.at(-1)).toMatchObject({
      path: "/repos?page=2",
      headers: { authorization: `token ${goodKey}` },
    });
    expect(me.complaints).toEqual([]);
    expect([...me.hosts]).toEqual([new URL(world.publicUrl).host]);
  });

  test("a user connects on the page with the keyboard alone, sees the last use, and takes it back", async () => {
    await me.goto(world.overview);
    await me.press("Connect: GitHub at work", `${world.publicUrl}/_bearerswap/secret/ghes`);
    await me.page.keyboard.press("Tab"); // the link to where it is found
    expect(await me.page.evaluate("document.activeElement.href")).toBe("https://ghes.example.com/settings/tokens");
    await me.page.keyboard.press("Tab");
    expect(await me.page.evaluate("document.activeElement.id")).toBe("secret");
    await me.page.keyboard.type(goodKey);
    await Promise.all([me.page.waitForNavigation(), me.page.keyboard.press("Enter")]);
    await expect.poll(() => me.page.url()).toBe(world.overview);
    expect(await me.entry("GitHub at work")).toMatch(/Connected since/);

    expect(await me.goto(`${world.publicUrl}/repos`)).toBe(200);
    await expect
      .poll(async () => ((await me.goto(world.overview)) === 200 ? me.entry("GitHub at work") : ""))
      .toMatch(/Connected since .*, last used .* UTC/);
    await me.keep(`secret-connected-${name}`);
    await me.press("Disconnect: GitHub at work", world.overview);
    expect(await me.entry("GitHub at work")).toContain("Not connected");
    expect(me.complaints).toEqual([]);
  });

  test("going back shows nothing of what was entered", async () => {
    await me.goto(world.overview);
    await me.press("Connect: GitHub at work", `${world.publicUrl}/_bearerswap/secret/ghes`);
    await enter(goodKey, world.overview);
    await me.page.goBack();
    expect(await me.text()).not.toContain(goodKey);
    expect(await me.page.evaluate("document.getElementById('secret')?.value ?? ''")).toBe("");
    expect((await me.context.cookies()).map(({ name: cookie }) => cookie).sort()).toEqual([
      "__Host-bearerswap",
      "__Host-bearerswap-browser",
    ]);
  });
});
