import { describe, expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";

const use = resources();
const other = "YW5vdGhlci1yYW5kb20tdmFsdWU";
const hourAndMore = 3_601_000;

async function expired(): Promise<Scenario> {
  const scenario = await startScenario(use);
  await scenario.login();
  await scenario.login({ id: other });
  scenario.clock.shift(hourAndMore);
  return scenario;
}

describe("concurrent checks on one expired token", () => {
  test.each([10, 100])("make one token request for %i of them, and all get its token", async (count) => {
    const scenario = await expired();
    const gate = scenario.provider.hold();
    const answers = Array.from({ length: count }, () => scenario.check(bearer()));
    await gate.arrived();
    gate.release();
    const tokens = new Set(
      (await Promise.all(answers)).map(({ status, headers }) => `${status} ${headers.authorization}`),
    );
    expect(tokens.size).toBe(1);
    expect([...tokens][0]).toMatch(/^200 Bearer access-/);
    expect(scenario.provider.calls).toBe(1);
  });

  test("of different sessions do not wait for each other", async () => {
    const scenario = await expired();
    const held = Promise.withResolvers<void>();
    scenario.provider.respondNext(async (_request, usual) => {
      await held.promise;
      return usual();
    });
    const slow = scenario.check(bearer());
    await expect.poll(() => scenario.provider.calls).toBe(1);
    expect((await scenario.check(bearer(other))).status).toBe(200);
    held.resolve();
    expect((await slow).status).toBe(200);
    expect(scenario.provider.calls).toBe(2);
  });

  test("survive the first caller's cancellation: the refresh goes on and the others get its token", async () => {
    const scenario = await expired();
    const gate = scenario.provider.hold();
    const first = scenario.client.cancelable(httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" } }));
    const cancelled = first.response.catch((error: { code: number }) => error.code);
    await gate.arrived();
    const others = Array.from({ length: 5 }, () => scenario.check(bearer()));
    first.cancel();
    expect(await cancelled).toBe(1);
    gate.release();
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(scenario.provider.calls).toBe(1);
  });

  test("fail together when the one refresh fails, and so do those within its back-off; the next check after it tries again", async () => {
    const scenario = await expired();
    const gate = scenario.provider.hold();
    scenario.provider.respondNext({ status: 500 });
    const answers = Array.from({ length: 10 }, () => scenario.check(bearer()));
    await gate.arrived();
    gate.release();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 503));
    const early = await scenario.check(bearer());
    expect([early.status, scenario.provider.calls]).toEqual([503, 1]);
    scenario.clock.shift(Number(early.headers["retry-after"]) * 1_000);
    expect([(await scenario.check(bearer())).status, scenario.provider.calls]).toEqual([200, 2]);
  });
});

describe("a caller's deadline", () => {
  test("is answered in time with a verdict, and the token that comes later is there for the next", async () => {
    const scenario = await expired();
    const gate = scenario.provider.hold();
    const request = httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" } });
    const answer = answerOf(await scenario.client.check(request, { deadlineMs: 600 }));
    expect(answer).toMatchObject({ status: 503, body: { reason: "unavailable" } });
    gate.release();
    expect((await scenario.check(bearer())).status).toBe(200);
    expect(scenario.provider.calls).toBe(1);
  });

  test("set in the configuration bounds callers that state none", async () => {
    const scenario = await startScenario(use, {
      config: { refresh: { timeout: "200ms" }, check: { deadline: "300ms" } },
    });
    await scenario.login();
    scenario.clock.shift(hourAndMore);
    const gate = scenario.provider.hold();
    expect((await scenario.check(bearer())).status).toBe(503);
    expect((await scenario.check(bearer())).status).toBe(503);
    gate.release();
    await expect.poll(async () => (await scenario.check(bearer())).status).toBe(200);
    expect(scenario.provider.calls).toBe(1);
    expect(scenario.service.log()).not.toContain(sessionId);
  });
});

test("two upstreams of a session at one provider never share a refresh: a token of one scope is not handed to a request for the other", async () => {
  const endpoint = await use.use(startTokenEndpoint());
  endpoint.respondAlways(({ form }) => ({
    body: { access_token: `for-${form.scope}`, token_type: "Bearer", expires_in: 3_600 },
  }));
  const upstream = (scope: string) => ({ tokenEndpoint: endpoint.url, clientId: "gateway", parameters: { scope } });
  const scenario = await startScenario(use, {
    config: { upstreams: { reader: upstream("read"), writer: upstream("write") } },
  });
  for (const name of ["reader", "writer"])
    await scenario.login({ upstream: name, token: { refreshToken: "of-one-login" } });
  scenario.clock.shift(hourAndMore);
  const gate = endpoint.hold();
  const answers = ["reader", "writer", "reader", "writer"].map((name) =>
    scenario.check({ ...bearer(), contextExtensions: { upstream: name } }),
  );
  await gate.arrived(2);
  gate.release();
  const tokens = (await Promise.all(answers)).map(({ headers }) => headers.authorization);
  expect([endpoint.calls, tokens]).toEqual([
    2,
    ["Bearer for-read", "Bearer for-write", "Bearer for-read", "Bearer for-write"],
  ]);
});
