import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { createLeakSearch } from "../telemetry/leaks.ts";
import { prefix, publicUrl, textOf } from "./browser.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue } from "./harness.ts";
import { addressIn, as, loggedIn, press } from "./page-harness.ts";
import { enter, goodHeader, goodKey, openForm, startSecretWorld } from "./secret-world.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };

test("a cookie session's user enters a secret, from a 401's connect_url to a request that carries it", async () => {
  const world = await startSecretWorld(use);
  const denied = await world.ask(cookie);
  expect([denied.status, JSON.parse(denied.body)]).toEqual([
    401,
    expect.objectContaining({ reason: "grant_missing", connect_url: `${prefix}connect/ghes` }),
  ]);
  const browser = world.browser();
  const form = await openForm(browser, connectUrlOf(denied) ?? "");
  expect(form.url).toMatch(/\/_bearerswap\/secret\/ghes\?state=[\w-]{22}$/);
  const page = await enter(browser, form, goodKey);
  expect([page.url, page.status]).toEqual([prefix, 200]);
  expect(textOf(page)).toMatch(/GitHub at work Connected since .* UTC Connect again Disconnect/);
  expect((await world.ask(cookie)).headers.get("authorization")).toEqual([goodHeader]);
  expect(world.api.trials).toEqual([200]);
  expect(world.service.events("connected")).toMatchObject([
    { audit: true, by: "user", upstream: "ghes", secret: true },
  ]);
});

test("the form keeps browsers from keeping what is entered, and says where to find it", async () => {
  const world = await startSecretWorld(use);
  const { body, headers } = await openForm(world.browser());
  const [input = ""] = /<input id="secret"[^>]*>/.exec(body) ?? [];
  expect(input).toMatch(/type="password".*autocomplete="off"/);
  expect(body).toContain('<label for="secret">Personal access token</label>');
  expect(body).toContain(
    '<a href="https://ghes.example.com/settings/tokens" target="_blank" rel="noopener noreferrer">',
  );
  expect(body).toMatch(/<form [^>]*method="post"[^>]*autocomplete="off"/);
  expect(headers.get("cache-control")).toEqual(["no-store"]);
  expect(headers.get("content-security-policy")?.[0]).toContain("form-action 'self'");
});

test("a secret that the API refuses is not kept: the form comes again, without it", async () => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  const again = await enter(browser, await openForm(browser), "pat-of-somebody-else");
  expect([again.status, textOf(again)]).toEqual([
    403,
    expect.stringContaining("GitHub at work does not accept it. Nothing was kept."),
  ]);
  expect(again.body).not.toContain("pat-of-somebody-else");
  expect((await world.ask(cookie)).status).toBe(401);
  expect((await enter(browser, again, ` ${goodKey}\n`)).status).toBe(200);
  expect((await world.ask(cookie)).headers.get("authorization")).toEqual([goodHeader]);
});

test.each([
  [503, "did not answer as it should"],
  [302, "did not answer as it should"],
  [429, "did not answer as it should"],
])("while the API answers %i to a trial nothing is kept, and it costs no attempt", async (status, words) => {
  const world = await startSecretWorld(use);
  world.api.status = status;
  const browser = world.browser();
  let page = await openForm(browser);
  for (let tries = 0; tries < 7; tries++) {
    page = await enter(browser, page, goodKey);
    expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining(words)]);
  }
  expect((await world.ask(cookie)).status).toBe(401);
  expect(world.api.requests.every(({ path }) => path === "/user")).toBe(true);
  world.api.status = undefined;
  expect((await enter(browser, page, goodKey)).status).toBe(200);
});

test("an API that refuses everybody for a while has not refused the secret: nothing is kept, and it costs no attempt", async () => {
  const world = await startSecretWorld(use);
  Object.assign(world.api, { status: 403, retryAfter: "60" });
  const browser = world.browser();
  let page = await openForm(browser);
  for (let tries = 0; tries < 7; tries++) {
    page = await enter(browser, page, goodKey);
    expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("did not answer as it should")]);
  }
  expect(world.service.events("connect_failed")[0]).toMatchObject({ reason: "http_403 with Retry-After" });
});

test("an API that is not there is said to be so, and the log says why", async () => {
  const world = await startSecretWorld(use);
  await world.api.stop();
  const browser = world.browser();
  const page = await enter(browser, await openForm(browser), goodKey);
  expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("Nothing was kept. Try again")]);
  expect(world.service.events("connect_failed")).toMatchObject([
    { upstream: "ghes", reason: expect.stringContaining("ECONNREFUSED") },
  ]);
});

test("without verify any secret is kept", async () => {
  const world = await startSecretWorld(use, {
    secret: { verify: undefined },
    inject: { header: "x-api-key", format: "{token}" },
  });
  const browser = world.browser();
  expect((await enter(browser, await openForm(browser), "anything")).status).toBe(200);
  expect((await world.ask(cookie)).headers.get("x-api-key")).toEqual(["anything"]);
  expect(world.api.requests).toEqual([]);
});

test("a browser that navigated to the API comes back to it by itself", async () => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  const form = await openForm(browser, `${prefix}connect/ghes?return_to=/repos?page=2`);
  const page = await enter(browser, form, goodKey);
  expect([page.status, textOf(page)]).toEqual([200, expect.stringContaining("GitHub at work is connected")]);
  expect(page.body).toContain(`<meta http-equiv="refresh" content="0;url=${publicUrl}/repos?page=2">`);
});

test("an agent's user enters a secret for the agent's session, behind a login at its issuer", async () => {
  const world = await startSecretWorld(use);
  const headers = await world.bearer("session-1", "user-1");
  const url = connectUrlOf(await world.ask(headers)) ?? "";
  expect(url).toMatch(/connect\/ghes\?ticket=/);
  const browser = world.browser(null);
  const page = await enter(browser, await openForm(browser, url, as("user-1", world)), goodKey);
  expect([page.status, textOf(page)]).toEqual([200, expect.stringContaining("You can close this page")]);
  expect((await world.ask(headers)).headers.get("authorization")).toEqual([goodHeader]);
  expect((await world.ask(await world.bearer("session-2", "user-1"))).status).toBe(401);
  // The browser's only cookie opens nothing.
  expect([...browser.cookies.keys()]).toEqual(["__Host-bearerswap-browser"]);
});

test("a victim who opens an attacker's link is shown no form", async () => {
  const world = await startSecretWorld(use);
  const url = connectUrlOf(await world.ask(await world.bearer("session-1", "user-1"))) ?? "";
  const page = await world.browser(null).visit(url, as("victim", world));
  expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("made for somebody else")]);
});

test("a form is good in the browser and for the session that opened it, and once", async () => {
  const world = await startSecretWorld(use);
  const mine = world.browser();
  const form = await openForm(mine);
  const address = addressIn(form, "secret/");

  const thief = world.browser("another-session-1234567890");
  expect((await thief.visit(address)).status).toBe(400);
  expect((await enter(thief, form, goodKey)).status).toBe(400);

  for (const [name, value] of mine.cookies) thief.cookies.set(name, value);
  thief.cookies.set(sessionCookie, "another-session-1234567890");
  const stolen = await enter(thief, form, goodKey);
  expect([stolen.status, textOf(stolen)]).toEqual([403, expect.stringContaining("This login was begun elsewhere")]);

  for (const origin of [undefined, "https://evil.example", "null"]) {
    const page = await enter(mine, form, goodKey, { headers: { origin: origin ?? "" } });
    expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("Nothing was changed")]);
  }
  expect(world.api.trials).toEqual([]);
  expect((await world.ask(cookie)).status).toBe(401);

  expect((await enter(mine, form, goodKey)).status).toBe(200);
  const twice = await enter(mine, form, goodKey);
  expect([twice.status, textOf(twice)]).toEqual([400, expect.stringContaining("This form is no longer good")]);
  expect((await mine.visit(address)).status).toBe(400);
});

test("a form ends after ten minutes, and is good for its own upstream alone", async () => {
  const world = await startSecretWorld(use, {
    upstreams: () => ({ other: { secret: { label: "Key" } } }),
  });
  const browser = world.browser();
  const form = await openForm(browser);
  const other = await browser.visit(addressIn(form, "secret/").replace("ghes", "other"));
  expect([other.status, textOf(other)]).toEqual([400, expect.stringContaining("no longer good")]);
  expect((await browser.visit(addressIn(form, "secret/").replace("ghes", "crm"))).status).toBe(404);
  world.clock.shift(10 * 60 * 1_000);
  expect((await enter(browser, form, goodKey)).status).toBe(400);
  expect(world.api.trials).toEqual([]);
});

test("a secret is not kept for a login's callback, nor a login for a form", async () => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  const form = await openForm(browser);
  const state = new URL(form.url).searchParams.get("state");
  expect((await browser.visit(`${prefix}callback?state=${state}&code=made-up`)).status).toBe(404);
  const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const login = new URL(callback.url).searchParams.get("state");
  expect((await browser.visit(`${prefix}secret/ghes?state=${login}`)).status).toBe(400);
});

test("whoever is logged in on the page enters it there, and nobody who comes later with that page", async () => {
  const world = await startSecretWorld(use, { agents: { claim: "sub" } });
  const browser = await loggedIn(world, "user-1");
  const overview = await browser.visit(prefix);
  const form = await openForm(browser, addressIn(overview, "connect/ghes"));
  await press(browser, overview, "logout");
  expect((await enter(browser, form, goodKey)).status).toBe(403);
  browser.forget(new URL(world.as.issuer).origin);
  await loggedIn(world, "user-2", browser);
  expect((await enter(browser, form, goodKey)).status).toBe(403);
  browser.forget(new URL(world.as.issuer).origin);
  await loggedIn(world, "user-1", browser);
  expect((await enter(browser, form, goodKey)).status).toBe(200);
  expect((await world.ask(await world.bearer("any", "user-1"))).headers.get("authorization")).toEqual([goodHeader]);
});

test("its user disconnects it, and nobody is asked to end it", async () => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  await enter(browser, await openForm(browser), goodKey);
  expect((await world.ask(cookie)).status).toBe(200);
  const asked = world.api.requests.length;
  const page = await press(browser, await browser.visit(prefix), "disconnect/ghes");
  expect(textOf(page)).toContain("GitHub at work Not connected");
  expect((await world.ask(cookie)).status).toBe(401);
  expect(world.service.events("disconnected")).toMatchObject([
    { audit: true, by: "user", upstream: "ghes", secret: true },
  ]);
  expect([world.api.requests.length, world.service.events("revocation_failed")]).toEqual([asked, []]);
});

test("a form that comes without its content says what Envoy lacks, and a part of it is not read", async () => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  const form = await openForm(browser);
  const origin = { origin: publicUrl };
  const empty = await browser.visit(addressIn(form, "secret/"), { method: "POST", headers: origin });
  expect([empty.status, textOf(empty)]).toEqual([503, expect.stringContaining("with_request_body")]);
  expect(world.service.events("secret_form_empty")).toMatchObject([{ upstream: "ghes" }]);
  const part = await enter(browser, form, goodKey, { headers: { "x-envoy-auth-partial-body": "true" } });
  expect([part.status, textOf(part)]).toEqual([400, expect.stringContaining("did not arrive as a whole")]);
  expect((await world.ask(cookie)).status).toBe(401);
  expect((await enter(browser, form, goodKey)).status).toBe(200);
});

test("an MCP client is led to the form as to a login", async () => {
  const world = await startSecretWorld(use);
  const call = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/list" });
  const answer = await world.call(cookie, {
    ...{ method: "POST", body: call, path: "/mcp" },
    contextExtensions: { upstream: "ghes", mcp: "true" },
  });
  expect(JSON.parse(answer.body)).toMatchObject({
    id: 7,
    error: {
      message: expect.stringContaining(`Connect your GitHub at work account to go on: open ${prefix}connect/ghes`),
    },
  });
});

test("a secret is in no log, no page and no address", async () => {
  const leaks = createLeakSearch();
  const [good, bad] = ["good-3c1f9a7e5b2d4680", "bad-9d8c7b6a5f4e3d2c"];
  leaks.secret("good secret", good);
  leaks.secret("bad secret", bad);
  const world = await startSecretWorld(use);
  world.api.good.add(`token ${good}`);
  const browser = world.browser();
  const pages = [await openForm(browser)];
  const form = pages[0] as (typeof pages)[number];
  pages.push(await enter(browser, form, bad));
  world.api.status = 503;
  pages.push(await enter(browser, form, bad));
  world.api.status = undefined;
  pages.push(await enter(browser, form, bad, { headers: { "x-envoy-auth-partial-body": "true" } }));
  pages.push(await enter(browser, form, `${bad} with spaces`));
  pages.push(await enter(browser, form, good), await browser.visit(prefix));
  for (const { url, body, headers } of pages) leaks.printed("a page", `${url} ${body} ${JSON.stringify([...headers])}`);
  await world.ask(cookie);
  leaks.printed("the log", world.service.log());
  leaks.expectNone();
});
