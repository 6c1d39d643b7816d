import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { browserCookie } from "../../src/connect/browser.ts";
import { resources } from "../support/resources.ts";
import { type Page, prefix, publicUrl } from "./browser.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue, startWorld } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };
const otherSession = "YW5vdGhlci1vcGFxdWUtc2Vzc2lvbg";

async function grantReason(call: Promise<Page>): Promise<string> {
  const page = await call;
  return page.status === 200 ? "connected" : (JSON.parse(page.body) as { reason: string }).reason;
}

test("a forged Host appears in no link, redirect or cookie", async () => {
  const world = await startWorld(use, { issue: true });
  for (const path of ["", "connect/crm", "callback?state=x", "nowhere"]) {
    const page = await world.browser().request(`${prefix}${path}`, { host: "evil.example.com" });
    expect(JSON.stringify([...page.headers, page.body])).not.toContain("evil");
  }
  const denied = await world.call({ ...cookie, "x-forwarded-host": "evil.example.com" }, { host: "evil.example.com" });
  expect([connectUrlOf(denied), denied.body.includes("evil")]).toEqual([`${prefix}connect/crm`, false]);
});

describe("disconnect", () => {
  async function connected() {
    const world = await startWorld(use, {
      upstreams: ({ as }) => ({
        wiki: {
          issuer: as.issuer,
          clientId: as.client.id,
          clientSecret: "${env:SECRET}",
          connect: { scope: "openid" },
        },
      }),
    });
    const browser = world.browser();
    const page = await browser.visit(`${prefix}connect/crm`);
    return { world, browser, action: /action="([^"]+)"/.exec(page.body)?.[1] ?? "" };
  }

  test.each([
    undefined,
    "null",
    "https://evil.example.com",
    "http://gateway.example.com",
    "https://gateway.example.com:8443",
    `${publicUrl}, https://evil.example.com`,
  ])("is refused with Origin %s", async (origin) => {
    const { world, browser, action } = await connected();
    const page = await browser.request(action, { method: "POST", headers: origin === undefined ? {} : { origin } });
    expect([page.status, await grantReason(world.call(cookie))]).toEqual([403, "connected"]);
  });

  test("is refused without the token of this session, browser and upstream", async () => {
    const { world, browser, action } = await connected();
    const other = world.browser(otherSession);
    const othersAction = /action="([^"]+)"/.exec((await other.visit(`${prefix}connect/crm`)).body)?.[1] ?? "";
    const sameSession = world.browser();
    const sameBrowser = world.browser(otherSession);
    sameBrowser.cookies.set(browserCookie, browser.cookies.get(browserCookie) ?? "");
    const post = { method: "POST", headers: { origin: publicUrl } };
    const attempts = [
      browser.request(`${prefix}disconnect/crm`, post),
      browser.request(`${prefix}disconnect/crm?token=`, post),
      browser.request(othersAction, post),
      sameSession.request(action, post),
      sameBrowser.request(action, post),
      browser.request(action.replace("disconnect/crm", "disconnect/wiki"), post),
    ];
    expect((await Promise.all(attempts)).map(({ status }) => status)).toEqual([403, 403, 403, 403, 403, 403]);
    expect(await grantReason(world.call(cookie))).toBe("connected");
  });

  test("takes no GET", async () => {
    const { world, browser, action } = await connected();
    const page = await browser.request(action, { headers: { origin: publicUrl } });
    expect([page.status, page.headers.get("allow"), await grantReason(world.call(cookie))]).toEqual([
      405,
      ["GET, POST"],
      "connected",
    ]);
  });
});

describe("what a provider says", () => {
  const nasty = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>\r\nset-cookie: a=b\u202eevil`;

  test("reaches the page as text, cut to one line, and no header", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = new URL((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
    callback.search = new URLSearchParams({
      error: nasty,
      error_description: `${nasty}${"x".repeat(2_000)}`,
      state: callback.searchParams.get("state") ?? "",
      iss: world.provider.issuer,
    }).toString();
    const page = await browser.request(callback.href);
    expect(page.body).not.toMatch(/<script|<img|onerror=alert\(2\)>|\u202e|x{600}/);
    expect(page.body).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(JSON.stringify([...page.headers])).not.toMatch(/alert|a=b/);
    expect(world.service.log()).not.toContain("<img");
  });

  test("as a name of the account is shown as text", async () => {
    const world = await startWorld(use);
    const page = await world
      .browser()
      .visit(`${prefix}connect/crm`, { edit: (url) => url.searchParams.set("login_hint", nasty) });
    expect(page.status).toBe(200);
    expect(page.body).not.toMatch(/<script|<img|\u202e/);
    expect(page.body).toContain("&lt;script&gt;");
  });
});

test("every page forbids caches, frames, scripts, referrers and guesses at its type", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser();
  const pages = await Promise.all(
    [
      "",
      "connect/crm",
      "connect/nowhere",
      "connect/crm?return_to=//x",
      "connect/crm?ticket=x",
      "callback",
      "disconnect/crm",
      "nowhere",
      "connect/",
      `x${"y".repeat(9_000)}`,
    ].map((path) => browser.request(`${prefix}${path}`)),
  );
  pages.push(await browser.visit(`${prefix}connect/crm`));
  expect(pages.map(({ status }) => status)).toEqual([200, 302, 404, 400, 400, 400, 405, 404, 404, 400, 200]);
  for (const { status, headers } of pages) {
    const header = (name: string) => headers.get(name)?.join();
    expect([header("cache-control"), header("x-frame-options"), header("x-content-type-options")]).toEqual([
      "no-store",
      "DENY",
      "nosniff",
    ]);
    expect(header("referrer-policy")).toMatch(/^(?:no-referrer|same-origin)$/);
    if (status !== 302)
      expect(header("content-security-policy")).toMatch(
        /^default-src 'none'; style-src 'sha256-[^;]+'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
      );
  }
});

test("cookies are for this host alone, out of scripts' reach, and not sent along by other sites", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  const begun = await browser.request(`${prefix}connect/crm`);
  const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const ended = await browser.request(callback.url);
  const set = [...(begun.headers.get("set-cookie") ?? []), ...(ended.headers.get("set-cookie") ?? [])];
  expect(set).toEqual([
    expect.stringMatching(
      /^__Host-bearerswap-browser=[\w-]{44}; Path=\/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax$/,
    ),
    expect.stringMatching(
      /^__Host-bearerswap-login-[\w-]{16}=\d+\.s1\.[\w.-]+; Path=\/; Max-Age=600; HttpOnly; Secure; SameSite=Lax$/,
    ),
    expect.stringMatching(/^__Host-bearerswap=[\w-]{44}; Path=\/; Max-Age=15552000; HttpOnly; Secure; SameSite=Lax$/),
    expect.stringMatching(/^__Host-bearerswap-login-[\w-]{16}=; Path=\/; Max-Age=0; HttpOnly; Secure; SameSite=Lax$/),
  ]);
});

test("whatever is asked for below the prefix gets a page and never an error of ours", async () => {
  const world = await startWorld(use, { issue: true, connect: { resources: [{ resource: publicUrl }] } });
  const piece = fc.constantFrom(
    "connect",
    "callback",
    "disconnect",
    "crm",
    "/",
    "//",
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%ff",
    "#",
    "..",
    "__proto__",
    "constructor",
    "state",
    "code",
    "ticket",
  );
  const target = fc
    .array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 8 })
    .map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(
      target,
      fc.constantFrom("GET", "POST", "HEAD", "", "get"),
      fc.constantFrom("/_bearerswap/", "/.well-known/oauth-protected-resource"),
      async (path, method, start) => {
        const page = await world.call(
          { cookie: `__Host-bearerswap=${path.replace(/[^!-~]/g, "")}` },
          { path: `${start}${path}`, method },
        );
        expect([200, 302, 400, 403, 404, 405]).toContain(page.status);
        expect(page.headers.get("cache-control")).toEqual(["no-store"]);
      },
    ),
    { numRuns: 300 },
  );
  expect([world.service.events("check_failed"), world.service.events("connect_failed")]).toEqual([[], []]);
});

test("a callback longer than any that a provider sends is refused unread", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const page = await browser.request(`${callback.url}&x=${"a".repeat(10_000)}`);
  expect([page.status, world.provider.tokenRequests]).toEqual([400, 0]);
  expect((await browser.visit(callback.url)).status).toBe(200);
});

test("no log line and no address holds a token, a state's secrets or a session's cookie", async () => {
  const world = await startWorld(use, { issue: true });
  const browser = world.browser(null);
  const addresses: string[] = [];
  await browser.visit(`${publicUrl}/contacts`, { until: (url) => addresses.push(url.href) === 0 });
  const token =
    (await world.call({ cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") })).headers.get(
      "authorization",
    )?.[0] ?? "";
  const seen = `${world.service.log()} ${addresses.filter((address) => address.startsWith(publicUrl)).join(" ")}`;
  for (const secret of [token.replace("Bearer ", ""), ...browser.cookies.values(), world.provider.client.secret])
    expect(seen).not.toContain(secret);
});
