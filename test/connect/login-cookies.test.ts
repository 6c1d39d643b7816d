import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { loginCookiePrefix, surplusCookies } from "../../src/connect/login-cookies.ts";
import { openClient } from "../stores/redis-harness.ts";
import { httpRequest } from "../support/check-request.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, prefix, type TestBrowser, textOf } from "./browser.ts";
import { connectUrlOf, isCallback, startWorld } from "./harness.ts";

const use = resources();

const loginsOf = ({ cookies }: TestBrowser) => [...cookies].filter(([name]) => name.startsWith(loginCookiePrefix));
const cookieNameOf = (url: string) =>
  `${loginCookiePrefix}${createHash("sha256")
    .update(new URL(url).searchParams.get("state") ?? "")
    .digest("base64url")
    .slice(0, 16)}`;

async function redisWorld() {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  return { world, redis: await openClient(use, redis.url) };
}

test("logins that newcomers begin leave nothing in Redis but the day's key", async () => {
  const { world, redis } = await redisWorld();
  for (let begun = 0; begun < 2_600; begun += 100) {
    const clicks = Array.from({ length: 100 }, () => createBrowser(world.client).request(`${prefix}connect/crm`));
    for (const page of await Promise.all(clicks)) expect(page.status).toBe(302);
  }
  expect((await redis.keys("bearerswap:flow:*")).map((key) => key.split(":")[2])).toEqual(["key"]);
});

test("a login's cookie is gone when it has come back, and replayed with its cookie it changes nothing", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const [[name = "", value = ""] = []] = loginsOf(browser);
  expect(name).toBe(cookieNameOf(callback.url));
  expect((await browser.request(callback.url)).status).toBe(302);
  expect(loginsOf(browser)).toEqual([]);
  browser.cookies.set(name, value);
  const calls = world.provider.tokenRequests;
  expect([(await browser.request(callback.url)).status, world.provider.tokenRequests]).toEqual([400, calls]);
});

test("a cookie whose time, seal or name was changed opens nothing, and another login's does not either", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const [one, other] = [
    await browser.visit(`${prefix}connect/crm`, { until: isCallback }),
    await browser.visit(`${prefix}connect/crm`, { until: isCallback }),
  ];
  const name = cookieNameOf(one.url);
  const value = browser.cookies.get(name) ?? "";
  const [expiry = "", ...sealed] = value.split(".");
  const otherValue = browser.cookies.get(cookieNameOf(other.url)) ?? "";
  const changed = [
    `${Number(expiry) + 60_000}.${sealed.join(".")}`,
    `0${value}`,
    `${value}A`,
    value.replace(/..$/, "__"),
    otherValue,
    "",
    "x",
    `${expiry}.s1.d1-000000000000.AAAA`,
  ];
  for (const bad of changed) {
    browser.cookies.set(name, bad);
    expect([bad, (await browser.request(one.url)).status]).toEqual([bad, 400]);
  }
  expect(world.provider.tokenRequests).toBe(0);
  browser.cookies.set(name, value);
  expect((await browser.request(one.url)).status).toBe(302);
});

test("two tabs finish in either order, and of six the oldest login is given up", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  const tabs = [];
  for (let tab = 0; tab < 6; tab++) {
    tabs.push((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
    world.clock.shift(1_000);
  }
  expect(loginsOf(browser).map(([name]) => name)).toEqual(tabs.slice(1).map(cookieNameOf));
  const [first = "", second = "", third = ""] = tabs;
  const statuses = [];
  for (const url of [first, third, second]) statuses.push((await browser.request(url)).status);
  expect(statuses).toEqual([400, 302, 302]);
});

test("a login that goes on from its user's issuer to the provider keeps its place among the five, and takes no other's", async () => {
  const world = await startWorld(use);
  const headers = await world.bearer("session-1", "user-1");
  const browser = world.browser();
  const edit = (url: URL) =>
    url.searchParams.set("login_hint", url.href.startsWith(world.as.issuer) ? "user-1" : "account");
  const tabs = [];
  for (let tab = 0; tab < 4; tab++) {
    tabs.push((await browser.visit(`${prefix}connect/crm`, { until: isCallback, edit })).url);
    world.clock.shift(1_000);
  }
  const identified = await browser.visit(connectUrlOf(await world.call(headers)) ?? "", { until: isCallback, edit });
  expect(loginsOf(browser)).toHaveLength(5);
  const connecting = await browser.visit(identified.url, {
    edit,
    until: (url) => isCallback(url) && url.href !== identified.url,
  });
  expect(loginsOf(browser).map(([name]) => name)).toEqual([...tabs, connecting.url].map(cookieNameOf));
  expect(textOf(await browser.visit(connecting.url))).toContain("crm is connected");
  for (const url of tabs) expect((await browser.request(url)).status).toBe(302);
});

test("a key that Redis lost is put back, and one of yesterday still opens", async () => {
  const { world, redis } = await redisWorld();
  const browser = world.browser();
  const lost = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const keys = await redis.keys("bearerswap:flow:key:*");
  const before = await redis.get(keys[0] ?? "");
  await redis.flushall();
  expect((await browser.request(lost.url)).status).toBe(302);
  expect(await redis.get(keys[0] ?? "")).toBe(before);
  const dayMs = 86_400_000;
  world.clock.shift(dayMs - (world.clock.wallMs() % dayMs) - 60_000);
  const late = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  world.clock.shift(120_000);
  await world.browser().request(`${prefix}connect/crm`);
  expect(await redis.keys("bearerswap:flow:key:*")).not.toHaveLength(1);
  expect((await browser.request(late.url)).status).toBe(302);
});

test("a login that the version before kept in the store is finished, once", async () => {
  const { world, redis } = await redisWorld();
  const browser = world.browser(null);
  const begun = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  // As that version kept it: the same record under the state's hash, and no cookie but the browser's.
  const state = new URL(begun.url).searchParams.get("state") ?? "";
  const hash = createHash("sha256").update(state).digest("base64url");
  const hashOfBrowser = createHash("sha256")
    .update(browser.cookies.get("__Host-bearerswap-browser") ?? "")
    .digest("base64url");
  const record = {
    step: "connect",
    upstream: "crm",
    by: "session",
    nonce: "a".repeat(22),
    verifier: "b".repeat(44),
    browser: hashOfBrowser,
  };
  await redis.set(`bearerswap:flow:state:${hash}`, JSON.stringify(record), "PX", 600_000);
  browser.cookies.delete(cookieNameOf(begun.url));
  const callback = new URL(begun.url);
  callback.search = new URLSearchParams({ error: "access_denied", state, iss: world.provider.issuer }).toString();
  expect(textOf(await browser.request(callback.href))).toContain("you did not allow the access");
  expect(await redis.exists(`bearerswap:flow:state:${hash}`)).toBe(0);
  expect((await browser.request(callback.href)).status).toBe(400);
});

test("cookies of logins under way never reach the API, whatever stands around them", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  await browser.visit(`${prefix}connect/crm`);
  await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const [[name = "", value = ""] = []] = loginsOf(browser);
  const session = [...browser.cookies]
    .filter(([own]) => own !== name)
    .map((pair) => pair.join("="))
    .join("; ");
  for (const own of [`${name}=${value}`, `x=1,${name}=${value}`, `\u00a0${name}=${value}`, `${loginCookiePrefix}=1`]) {
    const answer = await world.client.check(
      httpRequest({
        contextExtensions: { upstream: "crm" },
        path: "/contacts",
        headers: { cookie: `theme=dark; ${own}; ${session}` },
      }),
    );
    const cookies = answer.ok_response?.headers
      .filter(({ header }) => header.key === "cookie")
      .map(({ header }) => header.value);
    expect(cookies).toEqual([own.startsWith("x") ? "theme=dark; x=1" : "theme=dark"]);
  }
});

test("a browser that brings thousands of them is answered with few deletions", () => {
  const cookie = (at: number) => `${loginCookiePrefix}${String(at).padStart(16, "0")}=${at}.x`;
  const header = (count: number) => Array.from({ length: count }, (_, at) => cookie(at)).join("; ");
  expect(surplusCookies(header(4))).toEqual([]);
  expect(surplusCookies(header(6)).map(({ name, maxAgeMs }) => [name.slice(-1), maxAgeMs])).toEqual([
    ["0", 0],
    ["1", 0],
  ]);
  expect(surplusCookies(header(1_000))).toHaveLength(10);
});
