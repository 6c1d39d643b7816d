import { Readable } from "node:stream";
import { beforeAll, describe, expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";

const opened = resources();
const file = resources("file");
let redis: RedisServer;
beforeAll(async () => {
  redis = await file.use(startRedis());
});

const session = { source: "", id: sessionId };
const stores = [
  ["memory", () => ({})],
  ["Redis", () => ({ store: { redis: { url: redis.url, keyPrefix: `lives-${Math.random()}:` } } })],
] as const;

/** Lets the access token end, in the store too: Redis goes by its own clock, and drops the fields. */
async function expire(
  {
    clock,
    config,
  }: Scenario & { readonly config?: { readonly store?: { readonly redis: { readonly keyPrefix: string } } } },
  ms: number,
) {
  clock.shift(ms);
  const prefix = config?.store?.redis.keyPrefix;
  if (prefix === undefined) return;
  const raw = await openClient(opened, redis.url);
  for (const key of await raw.keys(`${prefix}*:grant:crm`)) await raw.hdel(key, "access", "accessUntil");
}

async function lifeOf({ admin }: Scenario): Promise<number | undefined> {
  return (await admin.get({ session, upstream: "crm" })).grant?.accessTokenExpiresInMs;
}

/** Refreshes, at a provider that says no more than it has to. */
async function refreshed(scenario: Scenario, life: object = {}): Promise<number | undefined> {
  const token = `access-${scenario.provider.calls}x`;
  scenario.provider.respondNext({ body: { access_token: token, token_type: "Bearer", ...life } });
  expect(await scenario.check(bearer())).toMatchObject({ status: 200, headers: { authorization: `Bearer ${token}` } });
  return lifeOf(scenario);
}

describe.each(stores)("with the grant in %s, an answer that states no life", (_name, config) => {
  test("keeps the one that the login stated, and then the one that the last answer stated: no token becomes endless that is not", async () => {
    const settings = config();
    const scenario = { ...(await startScenario(opened, { config: settings })), config: settings };
    await scenario.login({ token: { expiresIn: 600 } });
    for (let time = 0; time < 2; time++) {
      await expire(scenario, 601_000);
      const life = await refreshed(scenario);
      expect(life).toBeLessThanOrEqual(600_000);
      expect(life).toBeGreaterThan(590_000);
    }
    await expire(scenario, 601_000);
    expect(await refreshed(scenario, { expires_in: "7200" })).toBeGreaterThan(7_100_000);
    await expire(scenario, 7_201_000);
    expect(await refreshed(scenario)).toBeGreaterThan(7_100_000);
    expect(scenario.provider.calls).toBe(4);
  });
});

test("gets the life that is configured, whatever was stated before", async () => {
  const scenario = await startScenario(opened, { upstream: { accessTokenLife: "20m" } });
  await scenario.login({ token: { expiresIn: 600 } });
  scenario.clock.shift(601_000);
  expect(await refreshed(scenario)).toBeGreaterThan(1_190_000);
  scenario.clock.shift(1_201_000);
  expect(await refreshed(scenario, { expires_in: 60 })).toBeLessThanOrEqual(60_000);
});

test("has no expiry where nothing ever stated one", async () => {
  const scenario = await startScenario(opened);
  await scenario.login({ token: { accessToken: "", expiresIn: undefined } });
  expect(await refreshed(scenario)).toBeUndefined();
});

test("a row of the version that kept no such life gives what its access token still says, and is read by that version again", async () => {
  const config = { store: { redis: { url: redis.url, keyPrefix: "lives-old:" } } };
  const scenario = await startScenario(opened, { config });
  await scenario.login({ token: { expiresIn: 600 } });
  const raw = await openClient(opened, redis.url);
  const [key = ""] = await raw.keys("lives-old:*:grant:crm");
  const { accessLifeMs, ...old } = JSON.parse((await raw.hget(key, "grant")) ?? "{}") as Record<string, unknown>;
  expect(accessLifeMs).toBe(600_000);
  expect(Object.keys(old).sort()).toEqual(["createdAt", "refreshToken", "refreshedAt"]);
  await raw.hset(key, "grant", JSON.stringify(old));
  const [seconds = 0] = await raw.time();
  await raw.hset(key, "accessUntil", String(Number(seconds) * 1_000 + 5_000)); // near its end: refreshed, and still there
  const second = await startScenario(opened, { config, upstream: { tokenEndpoint: scenario.provider.url } });
  scenario.provider.respondNext({ body: { access_token: "access-next", token_type: "Bearer" } });
  expect(await second.check(bearer())).toMatchObject({ headers: { authorization: "Bearer access-next" } });
  expect(await lifeOf(second)).toBeGreaterThan(590_000);
});

describe("bytes that are no UTF-8", () => {
  const broken = (before: string, after: string) =>
    Readable.from([Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xfe]), Buffer.from(after)])]);

  test("in a refresh token leave the good one where it is: it is presented again after a back-off, and the grant works", async () => {
    const scenario = await startScenario(opened, { upstream: { grace: "90d" } });
    const { refreshToken } = await scenario.login({ token: { accessToken: "" } });
    scenario.provider.respondNext({
      body: broken('{"access_token":"access-9","expires_in":1,"refresh_token":"new-', '-token"}'),
    });
    expect(await scenario.check(bearer())).toMatchObject({ status: 503, body: { reason: "unavailable" } });
    expect(scenario.service.events("refresh").at(-1)).toMatchObject({
      provider: "unknown",
      reason: "response_garbled",
    });
    scenario.clock.shift(2_000);
    expect((await scenario.check(bearer())).status).toBe(200);
    expect(scenario.provider.requests.map(({ form }) => form.refresh_token)).toEqual([refreshToken, refreshToken]);
  });

  test.each([
    ["a number", 7],
    ["a text with a control character", "new\u0007token"],
    ["an object", { value: "refresh-9" }],
  ])(
    "nor does a refresh token that is %s pass for none: the old one has perhaps been rotated",
    async (_name, refresh_token) => {
      const scenario = await startScenario(opened);
      await scenario.login({ token: { accessToken: "" } });
      scenario.provider.respondNext({ body: { access_token: "access-9", expires_in: 600, refresh_token } });
      expect(await scenario.check(bearer())).toMatchObject({ status: 503, body: { reason: "unavailable" } });
      expect(scenario.service.events("refresh").at(-1)).toMatchObject({
        provider: "unknown",
        reason: "response_garbled",
      });
    },
  );

  test("beside the tokens cost nobody a rotated one", async () => {
    const scenario = await startScenario(opened);
    await scenario.login({ token: { accessToken: "" } });
    scenario.provider.respondNext({
      body: broken('{"access_token":"access-9","refresh_token":"refresh-9","expires_in":600,"name":"J', 'rgen"}'),
    });
    expect(await scenario.check(bearer())).toMatchObject({
      status: 200,
      headers: { authorization: "Bearer access-9" },
    });
    scenario.clock.shift(601_000);
    await scenario.check(bearer());
    expect(scenario.provider.requests.at(-1)?.form.refresh_token).toBe("refresh-9");
  });

  test("in what is said of a refusal leave it one", async () => {
    const scenario = await startScenario(opened);
    await scenario.login({ token: { accessToken: "" } });
    scenario.provider.respondNext({
      status: 400,
      body: broken('{"error":"invalid_grant","error_description":"Token ung', 'ltig"}'),
    });
    expect(await scenario.check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_refused" } });
  });
});
