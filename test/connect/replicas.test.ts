import { expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { createBrowser, prefix, publicUrl, textOf } from "./browser.ts";
import { durableRedis, untilBack } from "./durable-redis.ts";
import { connectUrlOf, isCallback, sessionCookie, sessionValue, startWorld } from "./harness.ts";

const use = resources();

test("a login begun on one replica is finished on another, with Redis restarted in between", async () => {
  const redis = await durableRedis(use);
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  const second = await world.replica();
  let current = world.client;
  const browser = createBrowser(world.client, () => current);
  const callback = await browser.visit(`${prefix}connect/crm?return_to=/contacts`, { until: isCallback });
  await redis.restart();
  current = second.client;
  const page = await untilBack(() => browser.request(callback.url), 302);
  expect(page.headers.get("location")).toEqual([`${publicUrl}/contacts`]);
  for (const client of [world.client, second.client]) {
    current = client;
    await untilBack(() => browser.request(`${publicUrl}/contacts`));
    expect(textOf(await untilBack(() => browser.request(prefix)))).toContain("crm Connected since");
  }
});

test("a login under way when its replica is stopped is stored before it ends", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const second = await world.replica();
  const browser = world.browser();
  const { url } = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const gate = world.provider.hang();
  const answer = browser.request(url).catch(() => undefined);
  await gate.arrived();
  const stopped = world.service.stop();
  gate.release();
  await Promise.all([stopped, answer]);
  const other = createBrowser(second.client);
  other.cookies.set(sessionCookie, sessionValue);
  expect(textOf(await other.visit(prefix))).toContain("crm Connected since");
});

test("a ticket of one replica is good at another, once for both", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const second = await world.replica();
  const url = connectUrlOf(await world.call(await world.bearer("session-1"))) ?? "";
  const [one, other] = [createBrowser(second.client), createBrowser(world.client)];
  expect((await one.visit(url)).status).toBe(200);
  expect((await other.visit(url)).status).toBe(400);
  expect((await world.call(await world.bearer("session-1"))).status).toBe(200);
});

test("while Redis is away the user is told to try again, and nothing is lost by it", async () => {
  const redis = await durableRedis(use);
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } } });
  const browser = world.browser();
  await browser.visit(`${prefix}connect/crm`);
  await redis.restart();
  const page = await untilBack(() => browser.request(prefix));
  expect(textOf(page)).toContain("crm Connected since");
  await untilBack(() => world.call({ cookie: `${sessionCookie}=${sessionValue}` }));
});

test("a login that cannot be begun while Redis is away is begun once it is back", async () => {
  const redis = await durableRedis(use);
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  await redis.stop();
  for (const browser of [world.browser(), world.browser(null)]) {
    const page = await browser.request(`${prefix}connect/crm`);
    expect([page.status, textOf(page)]).toEqual([
      503,
      expect.stringContaining("Nothing is lost. Try again in a moment."),
    ]);
    expect(page.headers.has("set-cookie")).toBe(false);
  }
  await redis.restart();
  const browser = world.browser(null);
  const begun = await untilBack(() => browser.request(`${prefix}connect/crm`), 302);
  const { url } = await browser.visit(begun.headers.get("location")?.[0] ?? "", { until: isCallback });
  await untilBack(() => browser.request(url), 302);
  expect(textOf(await untilBack(() => browser.request(prefix)))).toContain("crm Connected since");
});

test("a login that comes back while Redis is away is not used up: loading the page again finishes it", async () => {
  const redis = await durableRedis(use);
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  const browser = world.browser(null);
  const callback = await browser.visit(`${prefix}connect/crm?return_to=/contacts`, { until: isCallback });
  const before = [...browser.cookies];
  await redis.stop();
  const page = await browser.request(callback.url);
  expect([page.status, textOf(page)]).toEqual([
    503,
    expect.stringContaining("Nothing is lost. Try again in a moment."),
  ]);
  expect([[...browser.cookies], world.provider.tokenRequests]).toEqual([before, 0]);
  await redis.restart();
  const done = await untilBack(() => browser.request(callback.url), 302);
  expect([done.headers.get("location"), world.provider.tokenRequests]).toEqual([[`${publicUrl}/contacts`], 1]);
});

test("a login whose key Redis has lost is begun anew at a replica that never knew it, and the new key is that of all", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  const second = await world.replica();
  let current = world.client;
  const browser = createBrowser(world.client, () => current);
  const { url } = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  await (await openClient(use, redis.url)).flushall();
  current = second.client;
  const page = await browser.request(url);
  expect([page.status, textOf(page), world.provider.tokenRequests]).toEqual([
    400,
    expect.stringContaining("begin again"),
    0,
  ]);
  expect(textOf(await browser.visit(`${prefix}connect/crm`))).toContain("crm Connected since");
  current = world.client;
  expect(textOf(await browser.visit(`${prefix}connect/crm`))).toContain("crm Connected since");
});

test("Redis holds no state, ticket or cookie that could be used, only their hashes", async () => {
  const redis = await use.use(startRedis());
  const world = await startWorld(use, { config: { store: { redis: { url: redis.url } } }, issue: true });
  const browser = world.browser(null);
  const { url } = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  await world.browser(null).visit(`${prefix}connect/crm`);
  const ticket =
    new URL(connectUrlOf(await world.call(await world.bearer("session-1"))) ?? "").searchParams.get("ticket") ?? "";
  await browser.visit(`${prefix}connect/crm`);
  const client = await openClient(use, redis.url);
  const keys = await client.keys("*");
  expect(
    keys
      .map((key) => key.split(":").slice(1, 3).join(":"))
      .filter((key) => key.startsWith("flow:"))
      .sort(),
  ).toEqual(
    [
      "account",
      "account",
      "identity",
      "identity",
      "issued",
      "key",
      "seen",
      "seen",
      "session",
      "session",
      "ticket",
      "used",
      "used",
    ].map((kind) => `flow:${kind}`),
  );
  const values = await Promise.all(keys.filter((key) => key.includes("flow:")).map((key) => client.get(key)));
  for (const secret of [new URL(url).searchParams.get("state") ?? "", ...browser.cookies.values()])
    expect([...keys, ...values].join()).not.toContain(secret);
  expect(keys.join()).not.toContain(ticket);
  for (const key of keys.filter((name) => name.includes("flow:"))) expect(await client.pttl(key)).toBeGreaterThan(0);
});

test("while Redis is away an issued session that was in use goes on with its cached token, and an unknown one is not taken for ended", async () => {
  const redis = await durableRedis(use);
  const issue = { idle: "30d" };
  const world = await startWorld(use, {
    config: { store: { redis: { url: redis.url } }, cache: { maxStaleness: "1m", maxOutage: "1h" } },
    issue,
  });
  const [used, idle] = [world.browser(null), world.browser(null)];
  const cookiesOf = ({ cookies }: typeof used) => ({ cookie: [...cookies].map((pair) => pair.join("=")).join("; ") });
  for (const browser of [used, idle]) await browser.visit(`${prefix}connect/crm`);
  expect((await world.call(cookiesOf(used))).status).toBe(200);
  await redis.stop();
  world.clock.shift(61_000);
  expect([(await world.call(cookiesOf(used))).status, (await world.call(cookiesOf(idle))).status]).toEqual([200, 503]);
  expect((await idle.request(prefix)).status).toBe(503);
  world.clock.shift(301_000);
  expect((await world.call(cookiesOf(used))).status).toBe(503);
});
