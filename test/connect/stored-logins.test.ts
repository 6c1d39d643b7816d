import { expect, test } from "vitest";
import { hashSession } from "../../src/stores/grant.ts";
import { grantWrite } from "../stores/grants.ts";
import { openClient, openStore } from "../stores/redis-harness.ts";
import { httpRequest } from "../support/check-request.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { pageOf, prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { sessionCookie, sessionValue, startWorld } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };
const tokens = { access_token: "access-1", refresh_token: "refresh-1", token_type: "Bearer", expires_in: 3_600 };

/**
 * A provider whose answers are scripted, which is told of revocations, and a browser that is on its way back from
 * there.
 */
async function begun(config: object, issue = false) {
  const endpoint = await use.use(startTokenEndpoint());
  const upstream = {
    ...{ issuer: "https://idp.example.com", tokenEndpoint: endpoint.url, revocationEndpoint: endpoint.revocationUrl },
    connect: { authorizationEndpoint: "https://idp.example.com/authorize", scope: "read" },
  };
  const world = await startWorld(use, { upstream, config, issue });
  const browser = world.browser(issue ? null : sessionValue);
  const state = async () =>
    new URL((await browser.request(`${prefix}connect/crm`)).headers.get("location")?.[0] ?? "").searchParams.get(
      "state",
    );
  const back = async () => `${prefix}callback?code=x&state=${await state()}`;
  return { world, endpoint, browser, back };
}

const cookiesOf = (browser: TestBrowser) => ({ cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") });
const bearerOf = async (world: Awaited<ReturnType<typeof startWorld>>, headers: Record<string, string> = cookie) =>
  (await world.call(headers)).headers.get("authorization")?.[0];

test("a login that the store takes without saying so in time is kept, and its tokens are not given back", async () => {
  const redis = await use.use(startRedis());
  const { world, endpoint, browser, back } = await begun({
    store: { redis: { url: redis.url, commandTimeout: "500ms" } },
  });
  endpoint.respondNext({ body: tokens });
  const gate = endpoint.hold();
  const answer = browser.request(await back());
  await gate.arrived();
  await redis.pause();
  gate.release();
  await expect.poll(() => world.service.events("login_not_stored").length).toBeGreaterThan(0);
  await redis.resume();
  expect((await answer).headers.get("location")).toEqual([prefix]);
  expect([await bearerOf(world), endpoint.revoked]).toEqual(["Bearer access-1", []]);
});

test("a login that ends while something newer was stored leaves that, and gives its own tokens back", async () => {
  const redis = await use.use(startRedis());
  const { world, endpoint, browser, back } = await begun({ store: { redis: { url: redis.url } } });
  const { store } = await openStore(use, redis.url);
  endpoint.respondNext({ body: { ...tokens, access_token: "access-late", refresh_token: "refresh-late" } });
  const gate = endpoint.hold();
  const answer = browser.request(await back());
  await gate.arrived();
  await store.put(
    { session: hashSession("app", sessionValue), upstream: "crm" },
    grantWrite({ access: "access-newer", remainingMs: 3_600_000 }),
  );
  gate.release();
  const page = await answer;
  expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("Your login was not kept")]);
  expect(await bearerOf(world)).toBe("Bearer access-newer");
  await expect.poll(() => endpoint.revoked).toEqual(["refresh-late"]);
});

test("a newcomer who is shown that it takes long has the session's cookie already, and the account once it is stored", async () => {
  const { world, endpoint, browser, back } = await begun({}, true);
  const gate = endpoint.hold();
  endpoint.respondNext({ body: tokens });
  const path = (await back()).slice(publicUrl.length);
  const answer = world.client.check(httpRequest({ path, headers: cookiesOf(browser) }), { deadlineMs: 1_000 });
  await gate.arrived();
  const late = pageOf(publicUrl, await answer);
  expect(textOf(late)).toContain("This is taking a while");
  const session = late.headers.get("set-cookie")?.find((text) => text.startsWith("__Host-bearerswap=")) ?? "";
  gate.release();
  await expect.poll(() => bearerOf(world, { cookie: session.split(";")[0] ?? "" })).toBe("Bearer access-1");
});

test("a newcomer's session lives no longer than the login until the grant is stored, and its whole life from then on", async () => {
  const redis = await use.use(startRedis());
  const { world, endpoint, browser, back } = await begun({ store: { redis: { url: redis.url } } }, true);
  const client = await openClient(use, redis.url);
  const lives = async () => {
    const keys = (await client.keys("*flow:s*")).filter((key) => /flow:(session|seen):/.test(key));
    return Promise.all(keys.sort().map((key) => client.pttl(key)));
  };
  endpoint.respondNext({ body: tokens });
  const gate = endpoint.hold();
  const answer = browser.request(await back());
  await gate.arrived();
  const before = await lives();
  expect(before.map((life) => life > 0 && life <= 600_000)).toEqual([true, true]);
  gate.release();
  expect((await answer).status).toBe(302);
  expect((await lives()).map((life) => life > 20 * 86_400_000)).toEqual([true, true]);
  expect(await bearerOf(world, cookiesOf(browser))).toBe("Bearer access-1");
});

test("disconnecting what never was leaves nothing in the store; a grant that was is ended", async () => {
  const redis = await use.use(startRedis());
  const { world, endpoint, browser, back } = await begun({ store: { redis: { url: redis.url } } });
  const client = await openClient(use, redis.url);
  endpoint.respondNext({ body: tokens });
  const page = await browser.visit(await back());
  const action = /action="([^"]+)"/.exec(page.body)?.[1] ?? "";
  const post = { method: "POST", headers: { origin: publicUrl } };
  expect((await browser.request(action, post)).status).toBe(303);
  expect(await bearerOf(world)).toBeUndefined();
  const tombstones = async () => (await client.keys("*:grant:*")).length;
  expect(await tombstones()).toBe(1);
  await client.del(await client.keys("*:grant:*"));
  expect((await browser.request(action, post)).status).toBe(303);
  expect(await tombstones()).toBe(0);
});
