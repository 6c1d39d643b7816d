import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { browserCookie } from "../../src/connect/browser.ts";
import { returnPath } from "../../src/connect/links.ts";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import type { OidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, type Page, prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

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

describe("return_to", () => {
  const origin = "https://gateway.example.com";
  const tricks = [
    ...[
      "//evil.example.com",
      "///evil.example.com",
      "/\\evil.example.com",
      "\\/evil.example.com",
      "\\\\evil.example.com",
      "https://evil.example.com",
      "https:evil.example.com",
    ],
    ...[
      "javascript:alert(1)",
      "//gateway.example.com@evil.example.com",
      "/\t/evil.example.com",
      "/\n/evil.example.com",
      "/\r\nset-cookie: a=b",
      " //evil.example.com",
      "",
    ],
    ...[
      "/..//evil.example.com",
      "/.//evil.example.com",
      "/a/../..//evil.example.com",
      "/%2e%2e//evil.example.com",
      "/%2E//evil.example.com",
      "evil",
      "?x",
      "/a\u2028b",
    ],
    ...["https://gateway.example.com.evil.example.com/", "https://gateway.example.com/", `/${"a".repeat(2_048)}`],
  ];

  test.each(tricks)("is a path of this site and nothing that a browser takes for another one: %j", (text) => {
    expect(returnPath(text, origin)).toBeUndefined();
  });

  test.each([
    "/",
    "/a?b=c",
    "/%2f%2fevil.example.com",
    "/%5cevil.example.com",
    "/a//b",
    "/@evil.example.com",
    "/a?to=https://evil.example.com",
  ])("stays on this site: %j", (text) => {
    const path = returnPath(text, origin) ?? "";
    expect(new URL(`${origin}${path}`).origin).toBe(origin);
    expect(new URL(path, origin).origin).toBe(origin);
  });

  test("never leads to another origin, whatever it is made of", () => {
    const piece = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "%2f",
      "%5c",
      "%2e",
      "@",
      ":",
      "?",
      "#",
      "evil.example.com",
      "http:",
      "https://",
      "\t",
      "\n",
      "\r",
      "\0",
      " ",
      "\u3002",
    );
    const text = fc.oneof(
      fc
        .array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 3 })), { maxLength: 8 })
        .map((parts) => parts.join("")),
      fc.webUrl(),
    );
    fc.assert(
      fc.property(text, fc.boolean(), (given, slash) => {
        const path = returnPath(slash ? `/${given}` : given, origin);
        if (path !== undefined)
          expect([new URL(path, origin).origin, new URL(`${origin}${path}`).origin, /[\r\n]/.test(path)]).toEqual([
            origin,
            origin,
            false,
          ]);
      }),
      { numRuns: 5_000 },
    );
  });

  test("that leads elsewhere is refused before the login, so that no link of ours ends at another site", async () => {
    const world = await startWorld(use);
    const page = await world
      .browser()
      .request(`${prefix}connect/crm?return_to=${encodeURIComponent("//evil.example.com")}`);
    expect([page.status, page.headers.get("location"), page.body.includes("evil")]).toEqual([400, undefined, false]);
    const slashes = await world
      .browser()
      .request(`${prefix}connect/crm?return_to=${encodeURIComponent("/..//evil.example.com")}`);
    expect(slashes.status).toBe(400);
  });

  test("is not taken from the callback", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    expect((await browser.request(`${callback.url}&return_to=/elsewhere`)).headers.get("location")).toEqual([prefix]);
  });
});

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
