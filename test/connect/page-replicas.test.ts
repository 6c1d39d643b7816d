import { expect, test } from "vitest";
import { pageCookie } from "../../src/connect/page-sessions.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, prefix, textOf } from "./browser.ts";
import { durableRedis, untilBack } from "./durable-redis.ts";
import { isCallback } from "./harness.ts";
import { as, loggedIn, loginUrl, press, startPageWorld } from "./page-harness.ts";

const use = resources();

test("a login begun at one replica is finished at another, holds at both over a restart of Redis, and ends at both", async () => {
  const redis = await durableRedis(use);
  const world = await startPageWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const second = await world.replica();
  let current = world.client;
  const browser = createBrowser(world.client, () => current);
  const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  current = second.client;
  expect(textOf(await browser.visit(url))).toContain("logged in as user-1");
  await redis.restart();
  for (const client of [world.client, second.client]) {
    current = client;
    expect(textOf(await untilBack(() => browser.request(prefix)))).toContain("logged in as user-1");
  }
  const value = browser.cookies.get(pageCookie) ?? "";
  await press(browser, await browser.visit(prefix), "logout");
  browser.cookies.set(pageCookie, value);
  for (const client of [world.client, second.client]) {
    current = client;
    expect(textOf(await browser.visit(prefix))).not.toContain("logged in as");
  }
});

test("while Redis is away nobody is shown as logged out, and a login that comes back is not used up", async () => {
  const redis = await durableRedis(use);
  const world = await startPageWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const [inside, coming] = [await loggedIn(world), world.browser(null)];
  const { url } = await coming.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  await redis.stop();
  for (const address of [prefix, `${prefix}connect/crm`, loginUrl])
    expect([address, (await inside.request(address)).status]).toEqual([address, 503]);
  expect([(await coming.request(url)).status, world.as.tokenRequests]).toEqual([503, 1]);
  await redis.restart();
  expect(textOf(await untilBack(() => inside.request(prefix)))).toContain("logged in as user-1");
  await untilBack(() => coming.request(url), 302);
  expect(textOf(await coming.visit(prefix))).toContain("logged in as user-1");
});

test("Redis holds neither the cookie nor, where it is sealed, the user, and everything ends by itself", async () => {
  const redis = await use.use(startRedis());
  const encryption = { keys: [{ id: "k1", key: "${env:KEY}" }], allowPlain: false };
  const world = await startPageWorld(use, {
    config: { store: { redis: { url: redis.url }, encryption } },
    env: { KEY: Buffer.alloc(32, 7).toString("base64") },
  });
  const browser = await loggedIn(world, "alice@example.com");
  const client = await openClient(use, redis.url);
  const keys = (await client.keys("*:flow:*")).sort();
  expect(keys.map((key) => key.split(":")[2])).toEqual(["key", "mark", "page", "used"]);
  const values = await Promise.all(keys.map((key) => client.get(key)));
  for (const secret of [browser.cookies.get(pageCookie) ?? "", "alice"])
    expect([...keys, ...values].join()).not.toContain(secret);
  for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(0);
  for (const key of keys.filter((name) => !/:(?:used|key):/.test(name)))
    expect(await client.pttl(key)).toBeLessThanOrEqual(3_600_000);
});

test("a login that takes too long is finished all the same: the browser has its cookie already", async () => {
  const world = await startPageWorld(use, { config: { check: { deadline: "1s" }, refresh: { timeout: "500ms" } } });
  const browser = world.browser(null);
  const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
  const gate = world.as.hang();
  const slow = await browser.request(url);
  expect([slow.status, textOf(slow)]).toEqual([503, expect.stringContaining("This is taking a while")]);
  gate.release();
  await expect.poll(async () => textOf(await browser.visit(prefix))).toContain("logged in as user-1");
});
