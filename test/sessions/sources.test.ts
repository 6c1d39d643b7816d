import { describe, expect, test } from "vitest";
import type { HttpRequestOptions } from "../support/check-request.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";

const use = resources();
const other = "YW5vdGhlci1yYW5kb20tdmFsdWU";

async function outcome(scenario: Scenario, request: HttpRequestOptions): Promise<string> {
  const { status, headers, body } = await scenario.check(request);
  return status === 200 ? (headers.authorization ?? "") : `${status} ${body.reason}`;
}

describe("several sources", () => {
  test("never share a session: the same id through two of them reaches two grants", async () => {
    const issuer = await use.use(startJwtIssuer());
    const sessions = [
      { name: "agents", jwt: { issuer: issuer.issuer, audience: "gw", claim: "tsid" } },
      { name: "browser", opaque: { from: { cookie: "session" } } },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    const agents = await scenario.login({ source: "agents" });
    const asAgent = bearer(await issuer.sign({ aud: "gw", tsid: sessionId }));
    const asBrowser = { headers: { cookie: `session=${sessionId}` } };
    expect(await outcome(scenario, asAgent)).toBe(`Bearer ${agents.accessToken}`);
    expect(await outcome(scenario, asBrowser)).toBe("401 grant_missing");
    const browser = await scenario.login({ source: "browser" });
    expect(await outcome(scenario, asBrowser)).toBe(`Bearer ${browser.accessToken}`);
    expect(await outcome(scenario, asAgent)).toBe(`Bearer ${agents.accessToken}`);
  });

  test("are tried in their order: the first place that holds anything decides, good or bad", async () => {
    const sessions = [
      { name: "first", opaque: { from: { header: "x-session" } } },
      { name: "second", opaque: { from: { cookie: "session" } } },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    const first = await scenario.login({ source: "first" });
    const second = await scenario.login({ source: "second", id: other });
    const cookie = `session=${other}`;
    expect(await outcome(scenario, { headers: { "x-session": sessionId, cookie } })).toBe(
      `Bearer ${first.accessToken}`,
    );
    expect(await outcome(scenario, { headers: { cookie } })).toBe(`Bearer ${second.accessToken}`);
    expect(await outcome(scenario, { headers: { "x-session": "bad", cookie } })).toBe("401 session_invalid");
  });

  test("that share a place are told apart by the issuer, and the one chosen alone decides", async () => {
    const [one, two] = [await use.use(startJwtIssuer()), await use.use(startJwtIssuer())];
    const jwt = (issuer: string) => ({ issuer, audience: "gw", claim: "tsid", jwksCooldown: "0s" });
    const sessions = [
      { name: "one", jwt: jwt(one.issuer) },
      { name: "two", jwt: jwt(two.issuer) },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    const second = await scenario.login({ source: "two", id: "s1" });
    expect(await outcome(scenario, bearer(await two.sign({ aud: "gw", tsid: "s1" })))).toBe(
      `Bearer ${second.accessToken}`,
    );
    expect(await outcome(scenario, bearer(await one.sign({ aud: "gw", tsid: "s1" })))).toBe("401 grant_missing");
    expect(await outcome(scenario, bearer(await one.sign({ aud: "gw", tsid: "s1", iss: two.issuer })))).toBe(
      "401 session_invalid",
    );
  });

  test("all lose their credentials, whichever of them decided", async () => {
    const sessions = [
      { name: "first", opaque: { from: { header: "x-session" } } },
      { name: "second", opaque: { from: { cookie: "session" } } },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    await scenario.login({ source: "first" });
    const answer = await scenario.check({ headers: { "x-session": sessionId, cookie: `session=${other}; a=b` } });
    expect(answer).toMatchObject({ status: 200, headers: { cookie: "a=b" }, removed: ["x-session"] });
  });
});

test("one request's cookies never end up in another's", async () => {
  const sessions = [
    { name: "first", opaque: { from: { header: "x-session" } } },
    { name: "second", opaque: { from: { cookie: "session" } } },
  ];
  const scenario = await startScenario(use, { config: { sessions } });
  await scenario.login({ source: "first" });
  const ask = async (cookie: object) =>
    (await scenario.check({ headers: { "x-session": sessionId, ...cookie } })).headers.cookie;
  expect(await ask({ cookie: `theme=dark; session=${other}` })).toBe("theme=dark");
  expect(await ask({})).toBeUndefined();
  expect(await ask({ cookie: "theme=blue" })).toBeUndefined();
  expect(await ask({ cookie: `theme=light; session=${other}` })).toBe("theme=light");
});

describe("a session from metadata", () => {
  const metadata = {
    namespace: "envoy.filters.http.jwt_authn",
    path: ["payload", "tsid"],
    subject: ["payload", "sub"],
    strip: ["x-session-token", "authorization"],
  };

  test("is what Envoy's jwt_authn verified; the headers named by strip are removed, the injected one is not", async () => {
    const scenario = await startScenario(use, { config: { sessions: [{ metadata }] } });
    const { accessToken } = await scenario.login({ id: "s1", subject: "alice" });
    const request = (payload: object) => ({
      metadata: { "envoy.filters.http.jwt_authn": { payload: payload as Record<string, unknown> } },
    });
    expect(await scenario.check(request({ tsid: "s1", sub: "alice" }))).toMatchObject({
      status: 200,
      headers: { authorization: `Bearer ${accessToken}` },
      removed: ["x-session-token"],
    });
    expect(await outcome(scenario, request({ tsid: "s1", sub: "bob" }))).toBe("403 subject_mismatch");
    expect(await outcome(scenario, request({ tsid: 5.5 }))).toBe("401 session_invalid");
    expect(await outcome(scenario, request({}))).toBe("401 session_missing");
    expect(await outcome(scenario, { metadata: { other: { payload: { tsid: "s1", sub: "alice" } } } })).toBe(
      "401 session_missing",
    );
    expect(await outcome(scenario, { headers: { "x-session-token": "s1" } })).toBe("401 session_missing");
  });
});

describe("a session from the mTLS peer", () => {
  test("is let in from a listed trust domain, and from no other that looks like it", async () => {
    const scenario = await startScenario(use, {
      config: { sessions: [{ principal: { trustDomains: ["example.org"] } }] },
    });
    const { accessToken } = await scenario.login({ id: "spiffe://example.org/agent" });
    expect(await outcome(scenario, { principal: "spiffe://example.org/agent" })).toBe(`Bearer ${accessToken}`);
    expect(await outcome(scenario, { principal: "spiffe://example.org/other" })).toBe("401 grant_missing");
    for (const principal of [
      "spiffe://evil.org/agent",
      "spiffe://example.org.evil.org/agent",
      "spiffe://example.org",
      "spiffe://example.org/",
      "CN=agent",
      "https://example.org/agent",
    ]) {
      expect(await outcome(scenario, { principal }), principal).toBe("401 session_invalid");
    }
    expect(await outcome(scenario, {})).toBe("401 session_missing");
  });
});

describe("header smuggling", () => {
  const attempts: readonly [string, string][] = [
    ["two Authorization headers", `Bearer ${sessionId},Bearer ${other}`],
    ["the same one twice", `Bearer ${sessionId},Bearer ${sessionId}`],
    ["the scheme alone", "Bearer"],
    ["64 KB", `Bearer ${"a".repeat(65_536)}`],
    ["characters that are not ASCII", `Bearer ${sessionId}é`],
    ["a line break", `Bearer ${sessionId}\r\nx-evil: 1`],
    ["a guessable value", "Bearer session-1"],
  ];
  test.each(attempts)("with %s is 401 session_invalid, in headers and in header_map", async (_name, authorization) => {
    const scenario = await startScenario(use);
    await scenario.login();
    expect(await outcome(scenario, { headers: { authorization } })).toBe("401 session_invalid");
    expect(await outcome(scenario, { headers: { authorization }, rawHeaders: true })).toBe("401 session_invalid");
  });
});
