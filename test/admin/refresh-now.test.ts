import { status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";
import { GrantState, RefreshOutcome } from "../../src/gen/bearerswap/grants/v1/grants.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";

const opened = resources();
const file = resources("file");
let redis: RedisServer;
beforeAll(async () => {
  redis = await file.use(startRedis());
});

const grant = { session: { source: "", id: sessionId }, upstream: "crm" };

async function tokenAt({ check }: Scenario): Promise<string> {
  const { status: code, headers } = await check(bearer());
  return code === 200 ? String(headers.authorization) : String(code);
}

/** Two replicas on one Redis, both with a fresh token in their caches. */
async function replicas() {
  const config = { store: { redis: { url: redis.url, keyPrefix: `now-${Math.random()}:` } } };
  const first = await startScenario(opened, { config });
  const second = await startScenario(opened, { config, upstream: { tokenEndpoint: first.provider.url } });
  await first.login();
  expect([await tokenAt(first), await tokenAt(second)]).toEqual(["Bearer access-1", "Bearer access-1"]);
  return { first, second, provider: first.provider };
}

describe("a refresh that is asked for", () => {
  test("replaces a token that is fresh, on every replica, and says nothing of either", async () => {
    const { first, second, provider } = await replicas();
    const answer = await first.admin.refresh(grant);
    expect(answer).toMatchObject({
      outcome: RefreshOutcome.REFRESHED,
      why: "",
      grant: { state: GrantState.ACTIVE, hasAccessToken: true },
    });
    expect(JSON.stringify(answer)).not.toMatch(/access-\d|refresh-\d/);
    expect(await tokenAt(first)).toBe("Bearer access-2");
    await until("the other replica to drop the old token", async () => (await tokenAt(second)) === "Bearer access-2");
    expect(provider.requests.map(({ form }) => form.refresh_token)).toEqual(["refresh-1"]);
    expect(first.service.events("refresh")).toMatchObject([{ trigger: "asked", outcome: "refreshed" }]);
  });

  test("is one refresh for all who ask at the same time, on two replicas; checks go on with the token in hand meanwhile", async () => {
    const { first, second, provider } = await replicas();
    const gate = provider.hold();
    const asked = [first, first, second, second].map(({ admin }) => admin.refresh(grant));
    await until("the provider to be asked", () => provider.calls === 1);
    expect([await tokenAt(first), await tokenAt(second)]).toEqual(["Bearer access-1", "Bearer access-1"]);
    gate.release();
    expect((await Promise.all(asked)).map(({ outcome }) => outcome)).toEqual(asked.map(() => RefreshOutcome.REFRESHED));
    expect([await tokenAt(first), provider.calls]).toEqual(["Bearer access-2", 1]);
  });

  test("waits for a flight under way that only reads, and then refreshes", async () => {
    const { first, provider } = await replicas();
    await first.login(); // nobody holds this token yet
    const [check, answer] = await Promise.all([first.check(bearer()), first.admin.refresh(grant)]);
    expect([check.status, answer.outcome, provider.calls]).toEqual([200, RefreshOutcome.REFRESHED, 1]);
    expect(await tokenAt(first)).toBe("Bearer access-3");
  });

  test("that the provider refuses says so, and the grant is dead", async () => {
    const scenario = await startScenario(opened);
    await scenario.login();
    scenario.provider.respondNext({ status: 400, body: { error: "invalid_grant" } });
    for (let time = 0; time < 2; time++)
      expect(await scenario.admin.refresh(grant)).toMatchObject({
        outcome: RefreshOutcome.REFUSED,
        why: "invalid_grant",
        grant: { state: GrantState.DEAD },
      });
    expect(scenario.provider.calls).toBe(1);
  });

  test("without a refresh token is refused, and the provider is not asked", async () => {
    const scenario = await startScenario(opened);
    await scenario.login({ token: { refreshToken: "" } });
    expect(await scenario.admin.refresh(grant)).toMatchObject({
      outcome: RefreshOutcome.REFUSED,
      why: "no_refresh_token",
    });
    expect([await tokenAt(scenario), scenario.provider.calls]).toEqual(["Bearer access-1", 0]);
  });

  test("at a provider that is down takes nothing away, and heeds the back-off", async () => {
    const scenario = await startScenario(opened);
    await scenario.login();
    scenario.provider.respondNext({
      status: 503,
      body: { error: "temporarily_unavailable" },
      headers: { "retry-after": "30" },
    });
    const first = await scenario.admin.refresh(grant);
    expect(first).toMatchObject({ outcome: RefreshOutcome.UNAVAILABLE, why: "temporarily_unavailable" });
    expect(first.retryAfterMs).toBeGreaterThanOrEqual(30_000);
    expect(await scenario.admin.refresh(grant)).toMatchObject({ outcome: RefreshOutcome.UNAVAILABLE, why: "back_off" });
    expect([await tokenAt(scenario), scenario.provider.calls]).toEqual(["Bearer access-1", 1]);
    scenario.clock.shift(34_000);
    expect(await scenario.admin.refresh(grant)).toMatchObject({ outcome: RefreshOutcome.REFRESHED });
    expect(await tokenAt(scenario)).toBe("Bearer access-2");
  });

  test("of a grant that is not there, or revoked, is NOT_FOUND", async () => {
    const scenario = await startScenario(opened);
    const codeOf = () =>
      scenario.admin.refresh(grant).catch((error: Error) => (error.cause as { code?: number } | undefined)?.code);
    expect(await codeOf()).toBe(status.NOT_FOUND);
    await scenario.login();
    await scenario.admin.revoke({ ...grant, keepUpstream: true });
    expect([await codeOf(), scenario.provider.calls]).toEqual([status.NOT_FOUND, 0]);
  });
});
