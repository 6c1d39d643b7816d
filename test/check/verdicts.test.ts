import { describe, expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";

const use = resources();
const hour = 3_600_000;

/** Lets the access token of the last login or refresh run out. */
function expire(scenario: Scenario): void {
  scenario.clock.shift(hour + 1_000);
}

describe("a request that is let through", () => {
  test("carries the stored token in place of the session credential", async () => {
    const scenario = await startScenario(use);
    const { accessToken } = await scenario.login();
    const answer = await scenario.check(bearer());
    expect(answer).toMatchObject({
      status: 200,
      headers: { authorization: `Bearer ${accessToken}` },
      removed: [],
      metadata: { upstream: "crm", outcome: "allowed" },
    });
    expect(JSON.stringify(answer.metadata)).not.toContain(accessToken);
  });

  test("carries a refreshed token where the stored one expired", async () => {
    const scenario = await startScenario(use);
    const { accessToken } = await scenario.login();
    expire(scenario);
    const answer = await scenario.check(bearer());
    expect(answer.status).toBe(200);
    expect(answer.headers.authorization).not.toBe(`Bearer ${accessToken}`);
    expect(scenario.provider.tokens.isActive(answer.headers.authorization?.slice("Bearer ".length) ?? "")).toBe(true);
    expect(scenario.provider.calls).toBe(1);
  });

  test("loses its credential where the token goes into another header, and not the token where both are one", async () => {
    const elsewhere = await startScenario(use, { upstream: { inject: { header: "X-Api-Token", format: "{token}" } } });
    const { accessToken } = await elsewhere.login();
    expect(await elsewhere.check(bearer())).toMatchObject({
      headers: { "x-api-token": accessToken },
      removed: ["authorization"],
    });
    const same = await startScenario(use);
    await same.login();
    expect((await same.check(bearer())).removed).toEqual([]);
  });

  test("overwrites what the client sent under the injected header's name", async () => {
    const scenario = await startScenario(use);
    await scenario.login();
    const response = await scenario.client.check({
      attributes: { request: { http: { headers: bearer().headers } }, context_extensions: { upstream: "crm" } },
    });
    expect(response.ok_response?.headers.map(({ append_action }) => append_action)).toEqual([
      "OVERWRITE_IF_EXISTS_OR_ADD",
    ]);
  });

  test("keeps its other cookies when the credential was one of them", async () => {
    const scenario = await startScenario(use, {
      config: { sessions: [{ opaque: { from: { cookie: "__Host-session" } } }] },
    });
    const { accessToken } = await scenario.login();
    const several = await scenario.check({ headers: { cookie: `theme=dark; __Host-session=${sessionId}; lang=en` } });
    expect(several).toMatchObject({
      status: 200,
      headers: { authorization: `Bearer ${accessToken}`, cookie: "theme=dark; lang=en" },
    });
    expect(await scenario.check({ headers: { cookie: `__Host-session=${sessionId}` } })).toMatchObject({
      status: 200,
      removed: ["cookie"],
    });
    const joined = await scenario.check({ headers: { cookie: `__Host-session=${sessionId},theme=dark` } });
    expect(joined.headers.cookie).toBe("theme=dark");
  });
});

describe("a request that is kept back", () => {
  test("without a credential: 401 session_missing, a challenge without error code (RFC 6750 section 3.1)", async () => {
    const scenario = await startScenario(use, {
      config: {
        check: { realm: "gateway", resourceMetadata: "https://gw.example.com/.well-known/oauth-protected-resource" },
      },
    });
    const answer = await scenario.check();
    expect(answer).toMatchObject({
      status: 401,
      body: { error: "unauthorized", reason: "session_missing", upstream: "crm" },
    });
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
    expect(answer.headers["www-authenticate"]).toBe(
      'Bearer realm="gateway", resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource"',
    );
  });

  test("with a bad credential: 401 session_invalid, error invalid_token", async () => {
    const scenario = await startScenario(use);
    const answer = await scenario.check(bearer("short"));
    expect(answer).toMatchObject({ status: 401, body: { error: "invalid_token", reason: "session_invalid" } });
    expect(answer.headers["www-authenticate"]).toContain('error="invalid_token"');
  });

  test("without a grant, or with a revoked one: 401 grant_missing, no error code", async () => {
    const scenario = await startScenario(use);
    const never = await scenario.check(bearer());
    expect(never).toMatchObject({
      status: 401,
      body: { reason: "grant_missing", error_description: "no grant for this upstream; authentication required" },
    });
    expect(never.headers["www-authenticate"]).not.toContain("error=");
    await scenario.login();
    expect((await scenario.check(bearer())).status).toBe(200);
    await scenario.admin.revoke({ session: { source: "", id: sessionId }, upstream: "crm", keepUpstream: true });
    expect(await scenario.check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
    expect(scenario.provider.calls).toBe(0);
  });

  test("with a grant the provider refuses: 401 grant_refused, and no further provider call", async () => {
    const scenario = await startScenario(use);
    const { refreshToken } = await scenario.login();
    scenario.provider.tokens.revoke(refreshToken);
    expire(scenario);
    const refused = await scenario.check(bearer());
    expect(refused).toMatchObject({
      status: 401,
      body: {
        error: "invalid_token",
        reason: "grant_refused",
        error_description: "upstream token is no longer valid; re-authentication required",
      },
    });
    expect(refused.headers["www-authenticate"]).toContain('error="invalid_token"');
    expect(await scenario.check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_refused" } });
    expect(scenario.provider.calls).toBe(1);
  });

  test("with an expired token and no refresh token: 401 grant_refused", async () => {
    const scenario = await startScenario(use);
    await scenario.login({ token: { refreshToken: "" } });
    expect((await scenario.check(bearer())).status).toBe(200);
    expire(scenario);
    expect(await scenario.check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_refused" } });
    expect(scenario.provider.calls).toBe(0);
  });

  test("as another subject, or with either unknown: 403 subject_mismatch, cached or not", async () => {
    const issuer = await use.use(startJwtIssuer());
    const jwt = { issuer: issuer.issuer, audience: "gw", claim: "tsid", subject: "sub" };
    const store = { redis: { url: (await use.use(startRedis())).url } };
    // A grant from before the source was bound to a subject: today none can be put without one.
    const before = await startScenario(use, {
      config: { store, sessions: [{ name: "jwt", jwt: { ...jwt, subject: undefined } }] },
    });
    await before.login({ id: "s2" });
    const scenario = await startScenario(use, { config: { store, sessions: [{ jwt }] } });
    await scenario.login({ id: "s1", subject: "alice" });
    const as = async (tsid: string, sub?: string) =>
      (await scenario.check(bearer(await issuer.sign({ aud: "gw", tsid, ...(sub === undefined ? {} : { sub }) }))))
        .status;
    expect(await as("s1", "mallory")).toBe(403);
    expect(await as("s1", "alice")).toBe(200);
    expect(await as("s1", "mallory")).toBe(403);
    expect(await as("s1")).toBe(403);
    expect(await as("s2", "alice")).toBe(403);
    expect(await as("s2")).toBe(403);
    expect(await scenario.check(bearer(await issuer.sign({ aud: "gw", tsid: "s1" })))).toMatchObject({
      body: { reason: "subject_mismatch", error: "access_denied" },
    });
  });

  test("for a route without upstream, or one that is not configured: 403 no_upstream", async () => {
    const scenario = await startScenario(use);
    expect(await scenario.check({ ...bearer(), contextExtensions: {} })).toMatchObject({
      status: 403,
      body: { reason: "no_upstream" },
    });
    expect(await scenario.check({ ...bearer(), contextExtensions: { upstream: "hr" } })).toMatchObject({
      status: 403,
      body: { reason: "no_upstream" },
    });
  });

  test.each([
    ["503", { status: 503, headers: { "retry-after": "7" } }, 7],
    ["429", { status: 429, headers: { "retry-after": "30" } }, 30],
    ["500", { status: 500 }, 5],
    ["an unreadable 200", { status: 200, body: "<html>" }, 5],
    ["invalid_client", { status: 401, body: { error: "invalid_client" } }, 1],
  ])(
    "while the provider answers %s: 503 with Retry-After, and the session works again after that time",
    async (_name, response, seconds) => {
      const scenario = await startScenario(use);
      await scenario.login();
      expire(scenario);
      scenario.provider.respondNext(response);
      const answer = await scenario.check(bearer());
      expect(answer).toMatchObject({ status: 503, body: { reason: "unavailable", error: "temporarily_unavailable" } });
      const retryAfter = Number(answer.headers["retry-after"]);
      expect(retryAfter).toBeGreaterThanOrEqual(seconds);
      expect(retryAfter).toBeLessThanOrEqual(Math.ceil(seconds * 1.1)); // spread, so that sessions that failed together do not return together
      scenario.clock.shift(retryAfter * 1_000);
      expect([(await scenario.check(bearer())).status, scenario.provider.calls]).toEqual([200, 2]);
    },
  );

  test("with TRACE, whose answer would show the client the token: 400 bad_request; nothing is refreshed for it", async () => {
    const scenario = await startScenario(use);
    await scenario.login();
    expire(scenario);
    expect(await scenario.check({ ...bearer(), method: "TRACE" })).toMatchObject({
      status: 400,
      body: { reason: "bad_request", upstream: "crm" },
    });
    expect(scenario.provider.calls).toBe(0);
  });

  test("that is no CheckRequest, or about no HTTP request: 400 bad_request", async () => {
    const { client } = await startScenario(use);
    const denied = async (bytes: Uint8Array) => (await client.checkRaw(bytes)).denied_response;
    for (const bytes of [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.alloc(0),
      client.encode({ attributes: { source: { principal: "x" } } }),
    ]) {
      expect(await denied(bytes)).toMatchObject({ status: { code: "BadRequest" } });
    }
  });
});

describe("a passthrough route", () => {
  test("gets no token, and loses the session credential all the same", async () => {
    const sessions = [
      { opaque: { from: { header: "authorization" } } },
      { name: "browser", opaque: { from: { cookie: "session" } } },
    ];
    const scenario = await startScenario(use, {
      config: { sessions, routes: [{ host: "open.example.com", passthrough: true }] },
    });
    const answer = await scenario.check({
      host: "open.example.com",
      contextExtensions: {},
      headers: { ...bearer().headers, cookie: `a=b; session=${sessionId}` },
    });
    expect(answer).toMatchObject({
      status: 200,
      headers: { cookie: "a=b" },
      removed: ["authorization"],
      metadata: { outcome: "passthrough" },
    });
  });
});
