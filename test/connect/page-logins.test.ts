import { expect, test } from "vitest";
import { pageCookie } from "../../src/connect/page-sessions.ts";
import { resources } from "../support/resources.ts";
import { prefix, publicUrl, textOf } from "./browser.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue } from "./harness.ts";
import { addressIn, as, cookiesOf, loggedIn, loginUrl, press, startPageWorld } from "./page-harness.ts";

const use = resources();
const hourMs = 3_600_000;

test("who logs in at the issuer of bearer sessions connects an account before the first contact, sees it, and takes it back", async () => {
  const world = await startPageWorld(use, { upstream: { displayName: "Customers" } });
  const host = new URL(world.as.issuer).host;
  const browser = world.browser(null);
  const offer = await browser.visit(prefix);
  expect([offer.status, textOf(offer)]).toEqual([200, expect.stringMatching(new RegExp(`Log in at ${host}$`))]);
  expect(textOf(offer)).not.toContain("Customers");
  const page = await browser.visit(addressIn(offer, "login/"), as("user-1", world));
  expect(textOf(page)).toMatch(new RegExp(`logged in as user-1 at ${host}.*Log out.*Customers Not connected Connect$`));
  const done = await browser.visit(addressIn(page, "connect/crm"), as("user-1", world));
  expect([done.url, textOf(done)]).toEqual([
    prefix,
    expect.stringMatching(/Customers Connected since .* as crm-account/),
  ]);
  expect(await world.call(await world.bearer("any", "user-1"))).toMatchObject({ status: 200 });
  expect((await world.call(await world.bearer("any", "user-2"))).status).toBe(401);
  const left = await press(browser, done, "disconnect/crm");
  expect(textOf(left)).toContain("Customers Not connected");
  expect((await world.call(await world.bearer("any", "user-1"))).status).toBe(401);
});

test("an account that was connected by a link is on the page, and one that needs a new login says so", async () => {
  const world = await startPageWorld(use);
  const headers = await world.bearer("any", "user-1");
  await world.browser(null).visit(connectUrlOf(await world.call(headers)) ?? "", as("user-1", world));
  const browser = await loggedIn(world);
  expect(textOf(await browser.visit(prefix))).toMatch(/crm Connected since .* as crm-account/);
  world.provider.failAlways(400, {}, { error: "invalid_grant" });
  world.clock.shift(1.1 * hourMs);
  expect((await world.call(headers)).status).toBe(401);
  await loggedIn(world, "user-1", browser);
  expect(textOf(await browser.visit(prefix))).toContain("crm Needs a new login");
});

test("the login gets no token at an API and no cookie of it reaches one", async () => {
  const world = await startPageWorld(use);
  const browser = await loggedIn(world);
  await browser.visit(`${prefix}connect/crm`, as("user-1", world));
  const denied = await world.call(cookiesOf(browser));
  expect([denied.status, JSON.parse(denied.body)]).toEqual([
    401,
    expect.objectContaining({ reason: "session_missing" }),
  ]);
  expect((await world.call({ authorization: `Bearer ${browser.cookies.get(pageCookie)}` })).status).toBe(401);
  const allowed = await world.call({
    ...(await world.bearer("any", "user-1")),
    cookie: `theme=dark; ${cookiesOf(browser).cookie}`,
  });
  expect([allowed.status, allowed.headers.get("cookie")]).toEqual([200, ["theme=dark"]]);
});

test("logging out ends the login on the page and nothing else", async () => {
  const world = await startPageWorld(use);
  const browser = await loggedIn(world);
  const page = await browser.visit(`${prefix}connect/crm`, as("user-1", world));
  const value = browser.cookies.get(pageCookie) ?? "";
  const left = await press(browser, page, "logout");
  expect([left.url, textOf(left), browser.cookies.has(pageCookie)]).toEqual([
    prefix,
    expect.stringContaining("Log in at"),
    false,
  ]);
  browser.cookies.set(pageCookie, value);
  expect(textOf(await browser.visit(prefix))).not.toContain("logged in as");
  expect((await world.call(await world.bearer("any", "user-1"))).status).toBe(200);
});

test("a login ends after an hour, however much it was used", async () => {
  const world = await startPageWorld(use);
  const browser = await loggedIn(world);
  world.clock.shift(0.9 * hourMs);
  expect(textOf(await browser.visit(prefix))).toContain("logged in as user-1");
  world.clock.shift(0.2 * hourMs);
  expect(textOf(await browser.visit(prefix))).toContain("Log in at");
  const ended = await browser.request(`${prefix}connect/crm`);
  expect([ended.status, textOf(ended)]).toEqual([403, expect.stringMatching(/Log in, then choose .* Log in$/)]);
});

test("beside a session in a cookie the login counts on the page, as it was asked for last; the session counts again afterwards", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(sessionValue);
  const offer = await browser.visit(`${prefix}connect/crm`, as("user-1", world));
  expect(textOf(offer)).toMatch(/crm Connected since .*Log in at/);
  await loggedIn(world, "user-1", browser);
  const page = await browser.visit(prefix);
  expect(textOf(page)).toContain("crm Not connected");
  const connected = await browser.visit(addressIn(page, "connect/crm"), as("user-1", world));
  expect(textOf(connected)).toMatch(/logged in as user-1 .*crm Connected since/);
  expect((await world.call(await world.bearer("any", "user-1"))).status).toBe(200);
  await press(browser, connected, "disconnect/crm");
  expect((await world.call(await world.bearer("any", "user-1"))).status).toBe(401);
  const left = await press(browser, await browser.visit(prefix), "logout");
  expect(textOf(left)).toContain("crm Connected since");
  expect((await world.call({ cookie: `${sessionCookie}=${sessionValue}` })).status).toBe(200);
});

test("a login that an API led to is for the session that the API sees, whoever is logged in on the page", async () => {
  const world = await startPageWorld(use, { issue: true });
  const browser = await loggedIn(world);
  const answer = await browser.visit(`${publicUrl}/contacts`, as("user-1", world));
  expect([answer.url, answer.body]).toEqual([`${publicUrl}/contacts`, "let through"]);
  expect(textOf(await browser.visit(prefix))).toMatch(/logged in as user-1 .*crm Not connected/);
});

test("a newcomer is offered both: an account for this browser, and the login", async () => {
  const world = await startPageWorld(use, { issue: true });
  const page = await world.browser(null).visit(prefix);
  expect(textOf(page)).toMatch(/crm Not connected Connect .*Log in at/);
});

test("a source whose sessions are not their subjects offers no login, and its links go on to work", async () => {
  const world = await startPageWorld(use, { agents: { claim: "tsid" } });
  const browser = world.browser(null);
  expect((await browser.request(loginUrl)).status).toBe(404);
  expect([(await browser.request(prefix)).status, textOf(await browser.request(prefix))]).toEqual([
    403,
    expect.stringContaining("You are not signed in here"),
  ]);
  const url = connectUrlOf(await world.call(await world.bearer("one", "user-1"))) ?? "";
  expect((await browser.visit(url, as("user-1", world))).status).toBe(200);
});

test("sources of one issuer are told apart by their names, and only a known one is led anywhere", async () => {
  const client = { clientId: "gateway", clientSecret: "${env:SECRET}" };
  const world = await startPageWorld(use, {
    sources: (jwt) => [
      { name: "jobs", jwt: { ...jwt, from: { header: "x-job" }, audience: "gateway", claim: "sub", subject: "sub" } },
    ],
    connect: { login: { agents: client, jobs: client } },
  });
  const browser = world.browser(null);
  const host = new URL(world.as.issuer).host;
  const offer = await browser.visit(prefix);
  expect(textOf(offer)).toMatch(new RegExp(`Log in at ${host} \\(agents\\) Log in at ${host} \\(jobs\\)$`));
  const page = await browser.visit(addressIn(offer, "login/jobs"), as("user-1", world));
  expect(textOf(page)).toContain(`logged in as user-1 at ${host} (jobs).`);
  await browser.visit(addressIn(page, "connect/crm"), as("user-1", world));
  const jwt = await world.token("any", "user-1");
  expect((await world.call({ "x-job": `Bearer ${jwt}` })).status).toBe(200);
  expect((await world.call({ authorization: `Bearer ${jwt}` })).status).toBe(401);
  for (const path of ["login/web", "login/nobody", "login/", "login", "login/agents/more", "login/__proto__"])
    expect([path, (await browser.request(`${prefix}${path}`)).status]).toEqual([path, 404]);
  expect((await browser.request(loginUrl, { method: "POST" })).status).toBe(405);
});

test("says what happened where the user does not log in, or the issuer fails or is away", async () => {
  const world = await startPageWorld(use);
  const browser = world.browser(null);
  const refused = new URL((await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback })).url);
  const state = refused.searchParams.get("state") ?? "";
  refused.search = new URLSearchParams({ error: "access_denied", state, iss: world.as.issuer }).toString();
  expect(textOf(await browser.request(refused.href))).toContain("You are not logged in");
  world.as.failNext(500);
  const failed = await browser.visit(loginUrl, as("user-1", world));
  expect([failed.status, textOf(failed)]).toEqual([503, expect.stringContaining("You cannot log in right now")]);
  expect(browser.cookies.has(pageCookie)).toBe(false);
  expect(world.service.events("connect_failed")).toMatchObject([{ step: "sign_in", source: "agents" }]);
  const away = await startPageWorld(use);
  await away.as.stop();
  const unsent = await away.browser(null).request(loginUrl);
  expect([unsent.status, textOf(unsent)]).toEqual([503, expect.stringContaining("You cannot log in right now")]);
});
