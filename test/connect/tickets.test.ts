import { expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { prefix, textOf } from "./browser.ts";
import { type ConnectWorld, connectUrlOf, isCallback, startWorld, type WorldOptions } from "./harness.ts";

const use = resources();

/** The user who opens the browser picks an account at the session's issuer, and one at the provider. */
function as(user: string, world: ConnectWorld, account = "crm-account") {
  return {
    edit: (url: URL) => url.searchParams.set("login_hint", url.href.startsWith(world.as.issuer) ? user : account),
  };
}

async function begin(options?: WorldOptions) {
  const world = await startWorld(use, options);
  const headers = await world.bearer("session-1", "user-1");
  return { world, headers, url: connectUrlOf(await world.call(headers)) ?? "" };
}

test("connects a bearer session's account, for the user of the session, in a browser that has no session", async () => {
  const { world, headers, url } = await begin();
  expect(url).toMatch(/^https:\/\/gateway\.example\.com\/_bearerswap\/connect\/crm\?ticket=[\w-]{22}$/);
  const browser = world.browser(null);
  const page = await browser.visit(url, as("user-1", world));
  expect([page.status, textOf(page)]).toEqual([
    200,
    expect.stringContaining("crm is connected You can close this page"),
  ]);
  expect([...browser.cookies.keys()]).toEqual(["__Host-bearerswap-browser"]);
  expect((await world.call(headers)).headers.get("authorization")?.[0]).toMatch(/^Bearer /);
  expect((await world.call(await world.bearer("session-2", "user-1"))).status).toBe(401);
});

test("a victim who opens an attacker's link does not connect their account to the attacker's session", async () => {
  const { world, headers, url } = await begin();
  const page = await world.browser(null).visit(url, as("victim", world));
  expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("This link was made for somebody else")]);
  expect(JSON.parse((await world.call(headers)).body)).toMatchObject({ reason: "grant_missing" });
  expect(world.provider.tokenRequests).toBe(0);
});

test("nor by an address of the provider that the attacker got by logging in first", async () => {
  const { world, headers, url } = await begin();
  const atProvider = (next: URL) => next.href.startsWith(world.provider.issuer);
  const { url: address } = await world.browser(null).visit(url, { ...as("user-1", world), until: atProvider });
  const victim = world.browser(null);
  const page = await victim.visit(address, as("victim", world));
  expect([page.status, textOf(page)]).toEqual([400, expect.stringContaining("no longer known")]);
  expect((await world.call(headers)).status).toBe(401);
});

test("nor by a callback of the issuer that the attacker did not visit", async () => {
  const { world, headers, url } = await begin();
  const { url: callback } = await world.browser(null).visit(url, { ...as("user-1", world), until: isCallback });
  const page = await world.browser(null).visit(callback, as("victim", world));
  expect([page.status, (await world.call(headers)).status, world.as.tokenRequests]).toEqual([400, 401, 0]);
});

test("a link works once: after a login has matched it, it is used", async () => {
  const { world, url } = await begin();
  await world.browser(null).visit(url, as("user-1", world));
  const again = await world.browser(null).visit(url, as("user-1", world));
  expect([again.status, textOf(again)]).toEqual([400, expect.stringContaining("This link was used or is too old")]);
});

test("a link opened in two browsers at once connects in one of them", async () => {
  const { world, url } = await begin();
  const browsers = [world.browser(null), world.browser(null)];
  const callbacks = await Promise.all(
    browsers.map((browser) => browser.visit(url, { ...as("user-1", world), until: isCallback })),
  );
  const pages = await Promise.all(
    browsers.map((browser, at) => browser.visit(callbacks[at]?.url ?? "", as("user-1", world))),
  );
  expect(pages.map(({ status }) => status).sort()).toEqual([200, 400]);
});

test("opening a link does not use it up, so that a preview leaves it good", async () => {
  const { world, url } = await begin();
  for (let previews = 0; previews < 3; previews++) await world.browser(null).request(url);
  expect((await world.browser(null).visit(url, as("user-1", world))).status).toBe(200);
});

test("a link ends after ten minutes, is for its upstream alone, and cannot be guessed at", async () => {
  const { world, url } = await begin({
    upstreams: ({ as: server }) => ({
      wiki: { issuer: server.issuer, clientId: server.client.id, clientSecret: "${env:SECRET}", connect: {} },
    }),
  });
  const ticket = new URL(url).searchParams.get("ticket") ?? "";
  for (const path of [
    `connect/wiki?ticket=${ticket}`,
    `connect/crm?ticket=${"a".repeat(22)}`,
    "connect/crm?ticket=",
    `connect/crm?ticket=${ticket}%00`,
  ])
    expect([path, (await world.browser(null).request(`${prefix}${path}`)).status]).toEqual([path, 400]);
  world.clock.shift(600_001);
  expect((await world.browser(null).request(url)).status).toBe(400);
});

test("a client that keeps asking gets the same link while it is young, and another one after it was used", async () => {
  const { world, headers, url } = await begin();
  expect(connectUrlOf(await world.call(headers))).toBe(url);
  expect(connectUrlOf(await world.call(await world.bearer("session-2", "user-1")))).not.toBe(url);
  await world.browser(null).visit(url, as("user-1", world));
  world.provider.failAlways(400, {}, { error: "invalid_grant" });
  world.clock.shift(3_700_000);
  const again = connectUrlOf(await world.call(headers));
  expect(again).toMatch(/ticket=/);
  expect(again).not.toBe(url);
});

test("a session without a subject, or whose source has no login, gets no connect_url", async () => {
  const { world } = await begin();
  expect(connectUrlOf(await world.call(await world.bearer("session-1", null)))).toBeUndefined();
  const withoutLogin = await startWorld(use, { connect: { login: {} } });
  const denied = await withoutLogin.call(await withoutLogin.bearer("session-1"));
  expect([denied.status, connectUrlOf(denied)]).toEqual([401, undefined]);
  const opaque = await startWorld(use, {
    config: { sessions: [{ opaque: { from: { header: "authorization" } } }] },
    connect: { login: {} },
  });
  expect(connectUrlOf(await opaque.call({ authorization: "Bearer Zm9yLXRlc3RzLW9ubHktMDAwMA" }))).toBeUndefined();
});

test("binds the grant to the session's subject: another subject's token of the same session gets 403", async () => {
  const { world, url } = await begin();
  await world.browser(null).visit(url, as("user-1", world));
  const other = await world.call(await world.bearer("session-1", "user-2"));
  expect([other.status, JSON.parse(other.body)]).toEqual([
    403,
    expect.objectContaining({ reason: "subject_mismatch" }),
  ]);
});

test("says what happened where the user does not sign in, or the issuer fails", async () => {
  const { world, url } = await begin();
  const browser = world.browser(null);
  const refused = new URL((await browser.visit(url, { ...as("user-1", world), until: isCallback })).url);
  refused.search = new URLSearchParams({
    error: "access_denied",
    state: refused.searchParams.get("state") ?? "",
    iss: world.as.issuer,
  }).toString();
  expect(textOf(await browser.request(refused.href))).toContain("The sign-in says that you did not allow the access");
  world.as.failNext(500);
  const failed = await browser.visit(url, as("user-1", world));
  expect([failed.status, textOf(failed)]).toEqual([503, expect.stringContaining("cannot be connected right now")]);
});

test("checks of one session at the same time share one link, and one record in the store", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const headers = await world.bearer("session-1", "user-1");
  const answers = await Promise.all(Array.from({ length: 20 }, () => world.call(headers)));
  expect(new Set(answers.map(connectUrlOf)).size).toBe(1);
  const client = await openClient(use, redis.url);
  expect((await client.keys("*")).filter((key) => key.includes("ticket"))).toHaveLength(1);
});
