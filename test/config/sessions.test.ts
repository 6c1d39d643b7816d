import { describe, expect, test } from "vitest";
import { jwtSource, load, problemsOf } from "./config-text.ts";

const sessions = (...sources: object[]) => ({ sessions: sources });
const jwt = (settings: object = {}, name?: string) => ({
  ...(name === undefined ? {} : { name }),
  jwt: { ...jwtSource.jwt, ...settings },
});
const opaque = (from: object, name?: string) => ({ ...(name === undefined ? {} : { name }), opaque: { from } });

describe("a source of sessions", () => {
  test("is named after its kind, and lower-cases headers but not cookies", () => {
    const { config } = load(
      sessions(jwt({ from: { header: "X-Token" }, audience: ["a", "b"] }), opaque({ cookie: "Session" }), {
        metadata: { namespace: "ns", path: ["a", "b"], strip: ["X-Id"] },
      }),
    );
    expect(config.sessions).toMatchObject([
      { name: "jwt", kind: "jwt", from: { header: "x-token" }, audience: ["a", "b"] },
      { name: "opaque", kind: "opaque", from: { cookie: "Session" } },
      { name: "metadata", kind: "metadata", strip: ["x-id"], path: ["a", "b"] },
    ]);
  });

  test("is of exactly one kind", () => {
    const one = "must have exactly one of jwt, metadata, opaque, cookie, principal";
    expect(problemsOf(sessions({}, { ...jwt(), ...opaque({ header: "x" }) }, { name: "only-a-name" }))).toEqual(
      [0, 1, 2].map((at) => `sessions[${at}]: ${one}`),
    );
  });

  test("has a name of its own: names are part of the sessions' identity", () => {
    const twice = (at: number, name: string) =>
      `sessions[${at}].name: "${name}" is the name of an earlier source: names are part of the sessions' identity`;
    expect(problemsOf(sessions(jwt(), jwt({ issuer: "https://other.example.com" })))).toEqual([twice(1, "jwt")]);
    expect(problemsOf(sessions(jwt({}, "a"), opaque({ cookie: "s" }, "a")))).toEqual([twice(1, "a")]);
    expect(problemsOf(sessions(jwt({}, "opaque"), opaque({ cookie: "s" })))).toEqual([twice(1, "opaque")]);
    for (const name of ["", "A", "-a", "a b", "a".repeat(64)])
      expect(problemsOf(sessions(jwt({}, name)))).toHaveLength(1);
  });

  test("that takes any random value shares its place with no other", () => {
    const shared = (place: string, name: string) =>
      `${place} is read by "${name}" too: an opaque credential needs a place of its own`;
    expect(problemsOf(sessions(jwt(), opaque({ header: "Authorization" })))).toEqual([
      `sessions[1].opaque.from: ${shared("header authorization", "jwt")}`,
    ]);
    expect(problemsOf(sessions(opaque({ cookie: "s" }), jwt({ from: { cookie: "s" } })))).toEqual([
      `sessions[1].jwt.from: ${shared("cookie s", "opaque")}`,
    ]);
    expect(problemsOf(sessions(opaque({ cookie: "s" }, "a"), opaque({ cookie: "s" }, "b")))).toEqual([
      `sessions[1].opaque.from: ${shared("cookie s", "a")}`,
    ]);
    expect(
      problemsOf(sessions(opaque({ cookie: "s" }, "a"), opaque({ header: "s" }, "b"), opaque({ cookie: "S" }, "c"))),
    ).toEqual([]);
  });

  test("of JWTs is told from another in the same place by its issuer alone", () => {
    const other = jwt({ audience: "https://b.example.com" }, "other");
    expect(problemsOf(sessions(jwt(), other))).toEqual([
      'sessions[1].jwt.issuer: is the issuer of "jwt" in the same place: the two cannot be told apart',
    ]);
    expect(problemsOf(sessions(jwt(), jwt({ from: { cookie: "s" } }, "other")))).toEqual([]);
    expect(problemsOf(sessions(jwt(), jwt({ issuer: "https://other.example.com" }, "other")))).toEqual([]);
  });

  test("reads one header or one cookie", () => {
    for (const from of [{}, { header: "a", cookie: "b" }])
      expect(problemsOf(sessions(opaque(from)))).toEqual([
        "sessions[0].opaque.from: must be {header: NAME} or {cookie: NAME}",
      ]);
    expect(problemsOf(sessions(opaque({ header: "a b" }), opaque({ cookie: "a=b" }, "c")))).toEqual([
      "sessions[0].opaque.from.header: must be a header name",
      "sessions[1].opaque.from.cookie: must be a cookie name",
    ]);
  });

  test("by peer lists trust domains, and nothing that looks like one", () => {
    for (const domain of ["spiffe://example.org", "Example.org", "example.org/", "*", ""])
      expect(problemsOf(sessions({ principal: { trustDomains: [domain] } }))).toHaveLength(1);
    expect(problemsOf(sessions({ principal: { trustDomains: [] } }))).toHaveLength(1);
    expect(problemsOf(sessions({ metadata: { namespace: "ns", path: [] } }))).toEqual([
      "sessions[0].metadata.path: must name at least one key",
    ]);
  });
});

describe("an issuer that may end sessions", () => {
  test("is taken at its word for one session at a time, to the source's own audience, unless told otherwise", () => {
    const parsed = (backchannelLogout: object) =>
      load({ listen: { grpc: "127.0.0.1:9191", http: "127.0.0.1:9192" }, ...sessions(jwt({ backchannelLogout })) })
        .config.sessions[0];
    expect(parsed({})).toMatchObject({ backchannelLogout: { by: "sid" } });
    expect(parsed({ audience: "client", by: "sub" })).toMatchObject({
      backchannelLogout: { audience: ["client"], by: "sub" },
    });
  });

  test("needs a listener, and a word that is known", () => {
    expect(problemsOf(sessions(jwt({ backchannelLogout: {} })))).toEqual([
      "sessions[0].jwt.backchannelLogout: needs listen.http: that is where the issuer's logout tokens arrive",
    ]);
    const listen = { grpc: "127.0.0.1:9191", http: "127.0.0.1:9192" };
    expect(problemsOf({ listen, ...sessions(jwt({ backchannelLogout: { by: "user" } })) })).toEqual([
      "sessions[0].jwt.backchannelLogout.by: must be one of sid, sub",
    ]);
  });
});

describe("an issuer's keys", () => {
  const https = "must be https: plain http is for loopback, or for allowInsecure: true";

  test("come over https, off loopback", () => {
    expect(problemsOf(sessions(jwt({ issuer: "http://as.example.com" })))).toEqual([
      `sessions[0].jwt.issuer: ${https}`,
    ]);
    expect(problemsOf(sessions(jwt({ issuer: "http://as.example.com", jwks: "http://as.example.com/jwks" })))).toEqual([
      `sessions[0].jwt.jwks: ${https}`,
    ]);
    expect(problemsOf(sessions(jwt({ issuer: "http://as.example.com", jwks: "https://as.example.com/jwks" })))).toEqual(
      [],
    );
    for (const host of ["127.0.0.1:8080", "localhost", "[::1]:1", "as.localhost"])
      expect(problemsOf(sessions(jwt({ issuer: `http://${host}` })))).toEqual([]);
    for (const host of ["localhost.example.com", "127.0.0.1.example.com", "0.0.0.0"])
      expect(problemsOf(sessions(jwt({ issuer: `http://${host}` })))).toHaveLength(1);
    expect(problemsOf(sessions(jwt({ issuer: "http://as.example.com", allowInsecure: true })))).toEqual([]);
  });

  test("have a URL without user, password and fragment", () => {
    for (const issuer of [
      "as.example.com",
      "https://u@as.example.com",
      "https://u:hunter2@as.example.com",
      "https://as.example.com/#x",
      "file:///etc/passwd",
      "https://",
    ])
      expect(problemsOf(sessions(jwt({ issuer })))).toEqual([
        "sessions[0].jwt.issuer: must be an https:// URL without user, password or fragment",
      ]);
  });
});
