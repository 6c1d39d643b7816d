import { describe, expect, test } from "vitest";
import { environment, load, problemsOf } from "./config-text.ts";

const publicUrl = "https://gateway.example.com";
const upstreamOf = (more: object, config: object = {}) => ({ upstreams: { ghes: more }, ...config });
const secret = { label: "API key" };

describe("an upstream with secret", () => {
  test("needs nothing but a label", () => {
    const { ghes } = load(upstreamOf({ secret })).config.upstreams;
    expect(ghes?.secret).toEqual({ label: "API key", idleMs: 90 * 86_400_000 });
    expect(ghes?.inject).toEqual({ header: "authorization", format: "Bearer {token}" });
    expect(problemsOf(upstreamOf({ secret: {} }))).toEqual([
      expect.stringMatching(/^upstreams\.ghes\.secret\.label: /),
    ]);
  });

  test("is sent as Basic where it has a user, unless it says how", () => {
    const user = { ...secret, user: "Email address" };
    const formatOf = (more: object) => load(upstreamOf(more)).config.upstreams.ghes?.inject;
    expect(formatOf({ secret: user })).toEqual({ header: "authorization", format: "Basic {token}" });
    expect(formatOf({ secret: user, inject: { header: "X-Auth", format: "{token}" } })).toEqual({
      header: "x-auth",
      format: "{token}",
    });
  });

  test("says how it is tried", () => {
    const verify = { url: "https://api.example.com/me", expect: [200, 204], refused: 404, headers: { "X-Api": "2" } };
    const parsed = load(upstreamOf({ secret: { ...secret, verify } })).config.upstreams.ghes?.secret?.verify;
    expect(parsed).toMatchObject({ url: verify.url, expect: [200, 204], refused: [404] });
    expect(parsed?.headers["x-api"]?.reveal()).toBe("2");
    const plain = load(upstreamOf({ secret: { ...secret, verify: { url: verify.url } } })).config.upstreams.ghes;
    expect(plain?.secret?.verify).toMatchObject({ expect: [200], refused: [400, 401, 403] });
  });

  test.each([
    ["mcp", { mcp: "https://mcp.example.com" }],
    ["clientCredentials", { clientCredentials: {} }],
    ["exchange", { exchange: {} }],
    ["jwtBearer", { jwtBearer: { assertion: "session" } }],
    ["crossApp", { crossApp: { identity: "idp" } }],
  ])("is the only kind of its upstream: not beside %s", (kind, other) => {
    expect(problemsOf(upstreamOf({ secret, ...other }, { connect: { publicUrl } }))).toContain(
      `upstreams.ghes.secret: cannot stand beside ${kind}: an upstream has one kind of token. Give one of them`,
    );
  });

  test.each([
    ["issuer", "https://idp.example.com"],
    ["tokenEndpoint", "https://idp.example.com/token"],
    ["clientId", "gateway"],
    ["clientSecret", "${env:CRM_SECRET}"],
    ["clientAuth", "none"],
    ["parameters", { scope: "a" }],
    ["grace", "10s"],
    ["rotates", "never"],
    ["revocationEndpoint", "https://idp.example.com/revoke"],
    ["accessTokenLife", "1h"],
    ["request", { body: "json" }],
  ])("has no provider: not beside %s", (name, value) => {
    expect(problemsOf(upstreamOf({ secret, [name]: value }))).toEqual([
      `upstreams.ghes.${name}: is about an OAuth provider, and with secret there is none: leave it out`,
    ]);
  });

  test("has no preset, and no login of its own", () => {
    expect(problemsOf(upstreamOf({ secret, preset: "github" }))).toEqual([
      "upstreams.ghes.preset: names an OAuth provider, and with secret there is none: leave it out",
    ]);
    expect(problemsOf(upstreamOf({ secret, connect: {} }, { connect: { publicUrl } }))).toEqual([
      expect.stringMatching(/^upstreams\.ghes\.connect: is about logins at a provider: leave it out/),
    ]);
  });

  test("is what the section connect is for, and can be without it", () => {
    expect(problemsOf(upstreamOf({ secret }, { connect: { publicUrl } }))).toEqual([]);
    expect(problemsOf(upstreamOf({ secret }))).toEqual([]);
  });

  test("needs sealing in Redis", () => {
    const redis = { url: "rediss://redis.example.com" };
    const env = { ...environment, SEALING: Buffer.alloc(32, 1).toString("base64") };
    const keys = [{ id: "k1", key: "${env:SEALING}" }];
    expect(problemsOf(upstreamOf({ secret }, { store: { redis } }))).toEqual([
      "upstreams.ghes.secret: needs store.encryption: users' secrets are kept in Redis, and would be there in the clear",
    ]);
    expect(problemsOf(upstreamOf({ secret }, { store: { redis, encryption: { keys } } }), env)).toEqual([]);
  });

  test.each([
    ["a trial in the clear", { verify: { url: "http://api.example.com" } }, /secret\.verify\.url: must be https/],
    ["a status of both kinds", { verify: { url: publicUrl, expect: 401 } }, /verify\.refused: must not hold a status/],
    ["its own header", { verify: { url: publicUrl, headers: { Authorization: "x" } } }, /headers.*set by the client/],
    ["too short a life", { idle: "1h" }, /secret\.idle: must be at least 1d/],
    ["a long label", { label: "x".repeat(61) }, /secret\.label: must be 60 characters at most/],
    ["an unknown key", { veryfy: {} }, /secret\.veryfy|veryfy.*did you mean verify/],
  ])("does not take %s", (_what, more, problem) => {
    expect(problemsOf(upstreamOf({ secret: { ...secret, ...more } }))).toEqual([expect.stringMatching(problem)]);
  });

  test("issues no sessions for secrets that nobody tries", () => {
    const more = { connect: { publicUrl }, sessions: [{ cookie: { issue: true } }] };
    expect(problemsOf(upstreamOf({ secret }, more))).toEqual([
      "sessions[0].cookie: issues no session: a session begins with a login or with a secret that was tried; give secret.verify to one of the upstreams, or use another source",
    ]);
    const verify = { url: publicUrl };
    const tried = { secret: { ...secret, verify }, inject: { header: "x-tried" } };
    expect(problemsOf({ upstreams: { ghes: { secret }, tried }, ...more })).toEqual([]);
  });

  test("does not take the header of the secret among those of its trial", () => {
    const verify = { url: publicUrl, headers: { "X-Api-Key": "x" } };
    const own = { secret: { ...secret, verify }, inject: { header: "x-api-key" } };
    expect(problemsOf(upstreamOf(own))).toEqual([
      "upstreams.ghes.secret.verify.headers.x-api-key: carries the secret itself: leave it out",
    ]);
  });
});
