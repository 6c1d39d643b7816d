import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";

const opened = resources();
const basic = { clientSecret: "${env:SECRET}" };
const one = { SECRET: "secret-one" };
const two = { SECRET: "secret-two" };
/** A call that hangs holds the end of a test no longer. */
const quick = { shutdown: { timeout: "100ms" } };

/** The scenario's clock goes on past the access tokens' lives. */
function expire({ clock }: Scenario): void {
  clock.shift(3_700_000);
}

/** The client secrets of the token requests, in their order. */
function secrets({ provider }: Scenario): string[] {
  return provider.requests.map(({ headers, form }) => {
    const [, encoded = ""] = /^Basic (.*)$/.exec(headers.authorization ?? "") ?? [];
    return form.client_secret ?? Buffer.from(encoded, "base64").toString().replace(/^.*:/, "");
  });
}

/** How many tokens the process holds for an upstream. */
async function held({ service }: Scenario, upstream: string): Promise<number | undefined> {
  return (await scrape(service.listening)).value("bearerswap_token_cache_entries", { upstream });
}

describe("a changed upstream", () => {
  test("is asked with the new client secret from the next refresh on", async () => {
    const scenario = await startScenario(opened, { upstream: basic, env: one });
    await scenario.login();
    expire(scenario);
    expect(await scenario.check(bearer())).toMatchObject({ status: 200 });
    expect(scenario.reload({ env: two })).toBe(true);
    expire(scenario);
    expect(await scenario.check(bearer())).toMatchObject({ status: 200 });
    expect(secrets(scenario)).toEqual(["secret-one", "secret-two"]);
    expect(scenario.service.events("config_reloaded")).toMatchObject([
      { level: "info", upstreams: ["crm"], sources: [], sections: [] },
    ]);
    expect(scenario.service.log()).not.toContain("secret-two");
  });

  test("loses what this process held of it at once, and nothing in the store", async () => {
    const scenario = await startScenario(opened, { upstream: basic, env: one });
    const { accessToken } = await scenario.login();
    await scenario.check(bearer());
    expect(await held(scenario, "crm")).toBe(1);
    scenario.reload({ env: two });
    expect(await held(scenario, "crm")).toBe(0);
    expect(await scenario.check(bearer())).toMatchObject({
      status: 200,
      headers: { authorization: `Bearer ${accessToken}` },
    });
    expect(scenario.provider.calls).toBe(0);
  });

  test("finishes a refresh under way with the client that began it, and stores what came", async () => {
    const scenario = await startScenario(opened, { upstream: basic, env: one });
    await scenario.login();
    expire(scenario);
    const gate = scenario.provider.hold();
    const waiting = Array.from({ length: 20 }, () => scenario.check(bearer()));
    await gate.arrived();
    expect(scenario.reload({ env: two })).toBe(true);
    waiting.push(...Array.from({ length: 20 }, () => scenario.check(bearer())));
    gate.release();
    const answers = await Promise.all(waiting);
    expect(new Set(answers.map(({ status, headers }) => `${status} ${headers.authorization}`))).toEqual(
      new Set(["200 Bearer access-2"]),
    );
    expect(secrets(scenario)).toEqual(["secret-one"]);
    expire(scenario);
    expect(await scenario.check(bearer())).toMatchObject({ status: 200 });
    expect(secrets(scenario)).toEqual(["secret-one", "secret-two"]);
    expect(scenario.provider.tokens.reuses).toBe(0);
  });

  test("is waited for at shutdown, also where the refresh under way is a removed one's", async () => {
    const scenario = await startScenario(opened, { upstream: basic, env: one });
    await scenario.login();
    expire(scenario);
    const gate = scenario.provider.hold();
    const waiting = scenario.check(bearer());
    await gate.arrived();
    const wiki = { tokenEndpoint: scenario.provider.url, clientId: "wiki" };
    expect(scenario.reload({ config: { upstreams: { wiki } } })).toBe(true);
    const stopped = scenario.service.stop();
    gate.release();
    expect(await waiting).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
    await stopped;
    expect(scenario.service.events("commit_lost")).toEqual([]);
    expect(scenario.service.events("refresh")).toMatchObject([{ outcome: "refreshed" }]);
  });
});

test("an upstream that is not changed keeps its tokens, its breaker and what it discovered", async () => {
  const provider = await opened.use(startTokenEndpoint());
  let discoveries = 0;
  const wiki = { issuer: provider.issuer, clientId: "gateway", allowInsecure: true };
  const crm = { tokenEndpoint: provider.url, clientId: "gateway" };
  const scenario = await startScenario(opened, {
    config: { upstreams: { crm, wiki } },
    fetch: async (url, init) => {
      if (String(url).includes(".well-known")) discoveries++;
      const { createFetchFor } = await import("../../src/platform/fetch-for.ts");
      return createFetchFor({})(undefined)(url, init);
    },
  });
  const login = provider.tokens.login();
  await scenario.login({
    upstream: "wiki",
    token: { accessToken: login.access_token, refreshToken: login.refresh_token },
  });
  expire(scenario);
  const check = () => scenario.check({ ...bearer(), contextExtensions: { upstream: "wiki" } });
  expect(await check()).toMatchObject({ status: 200 });
  const found = discoveries;
  expect(scenario.reload({ config: { upstreams: { crm: { ...crm, clientId: "other" }, wiki } } })).toBe(true);
  expect(await held(scenario, "wiki")).toBe(1);
  expire(scenario);
  expect(await check()).toMatchObject({ status: 200 });
  expect([discoveries, provider.calls]).toEqual([found, 2]);
});

test("an added upstream is served and counted, and a removed one is served no more; its series stay", async () => {
  const scenario = await startScenario(opened);
  const crm = { tokenEndpoint: scenario.provider.url, clientId: "gateway" };
  const check = (upstream: string) => scenario.check({ ...bearer(), contextExtensions: { upstream } });
  await scenario.login();
  expect([(await check("crm")).status, (await check("wiki")).status]).toEqual([200, 403]);
  expect(scenario.reload({ config: { upstreams: { crm, wiki: crm } } })).toBe(true);
  const refreshes = { upstream: "wiki", ending: "refreshed", trigger: "ahead" };
  expect((await scrape(scenario.service.listening)).value("bearerswap_refreshes_total", refreshes)).toBe(0);
  await scenario.login({ upstream: "wiki" });
  expect([(await check("crm")).status, (await check("wiki")).status]).toEqual([200, 200]);
  expect(scenario.reload({ config: { upstreams: { wiki: crm } } })).toBe(true);
  expect([(await check("crm")).status, (await check("wiki")).status]).toEqual([403, 200]);
  const { value } = await scrape(scenario.service.listening);
  expect(value("bearerswap_checks_total", { upstream: "crm", reason: "allowed" })).toBe(2);
  expect(await held(scenario, "crm")).toBe(0);
  await expect(scenario.admin.get({ session: { source: "", id: "x".repeat(30) }, upstream: "crm" })).rejects.toThrow(
    /no upstream is named "crm"; configured: wiki/,
  );
});

test("other refresh and cache settings are in force at once, and cost no token", async () => {
  const scenario = await startScenario(opened, {
    config: { refresh: { ahead: "10s", minRemaining: "10s" }, ...quick },
  });
  await scenario.login();
  await scenario.check(bearer());
  scenario.clock.shift(3_600_000 - 30_000);
  expect(await scenario.check(bearer())).toMatchObject({ status: 200 });
  expect(scenario.provider.calls).toBe(0);
  const changed = {
    refresh: { ahead: "120s", minRemaining: "60s", timeout: "2s" },
    cache: { maxSessions: 7 },
    ...quick,
  };
  expect(scenario.reload({ config: changed })).toBe(true);
  expect(await held(scenario, "crm")).toBe(1);
  scenario.provider.hang();
  scenario.clock.shift(60_000);
  // The refresh is given up after two seconds rather than ten.
  const answer = scenario.check(bearer());
  await until("the refresh", () => scenario.provider.calls === 1);
  expect(await answer).toMatchObject({ status: 503 });
});
