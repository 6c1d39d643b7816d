import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { crm, environment, jwtSource, load, problemsOf } from "./config-text.ts";

const upstreamOf = (more: object, connect?: object) => ({ upstreams: { crm: { ...crm, ...more } }, ...connect });

describe("an upstream with clientCredentials", () => {
  test("asks for what it says, a list more than once", () => {
    const asked = { scope: "a b", audience: ["x", "y"], resource: "https://r.example", parameters: { tenant: "t" } };
    expect(load(upstreamOf({ clientCredentials: asked })).config.upstreams.crm?.minted).toEqual({
      kind: "clientCredentials",
      parameters: [
        ["scope", "a b"],
        ["audience", "x"],
        ["audience", "y"],
        ["resource", "https://r.example"],
        ["tenant", "t"],
      ],
    });
    expect(load(upstreamOf({})).config.upstreams.crm?.minted).toBeUndefined();
    expect(load(upstreamOf({ preset: "linear", clientCredentials: {} })).config.upstreams.crm?.minted).toBeDefined();
  });

  test("is the only kind of its upstream: the problem names both", () => {
    const connect = { connect: { publicUrl: "https://gateway.example.com" } };
    expect(problemsOf(upstreamOf({ clientCredentials: {}, connect: {} }, connect))).toEqual([
      "upstreams.crm.clientCredentials: cannot stand beside connect: with connect each user logs in. Give one of them",
    ]);
    const mcp = { mcp: "https://mcp.example.com", clientCredentials: {}, issuer: undefined, clientSecret: undefined };
    expect(problemsOf(upstreamOf(mcp, connect))).toContain(
      "upstreams.crm.clientCredentials: cannot stand beside mcp: with mcp each user logs in. Give one of them",
    );
  });

  test("has no parameters of refreshes, none that the client sets, and none twice", () => {
    expect(problemsOf(upstreamOf({ clientCredentials: {}, parameters: { scope: "a" } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.parameters: is for refreshes, and clientCredentials has none/),
    ]);
    expect(problemsOf(upstreamOf({ clientCredentials: { parameters: { client_id: "a" } } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.clientCredentials\.parameters: must not hold .*client_id/),
    ]);
    expect(problemsOf(upstreamOf({ clientCredentials: { scope: "a", parameters: { scope: "b" } } }))).toEqual([
      "upstreams.crm.clientCredentials.parameters.scope: stands beside clientCredentials.scope: give one of them",
    ]);
  });
});

describe("an upstream with exchange", () => {
  test("says what is exchanged for what, by the RFC's words or by URIs", () => {
    const exchange = {
      ...{ audience: "hr", scope: "read", subjectTokenType: "jwt", requestedTokenType: "https://types.example/own" },
      actor: { file: "/run/actor" },
    };
    expect(load(upstreamOf({ exchange })).config.upstreams.crm?.minted).toEqual({
      kind: "exchange",
      parameters: [
        ["scope", "read"],
        ["audience", "hr"],
      ],
      subjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
      requestedTokenType: "https://types.example/own",
      actor: { file: "/run/actor", tokenType: "urn:ietf:params:oauth:token-type:jwt" },
    });
    expect(problemsOf(upstreamOf({ exchange: { subjectTokenType: "token" } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.exchange\.subjectTokenType: must be one of access_token, id_token/),
    ]);
  });

  test("stands alone: the problem names the other kind", () => {
    expect(problemsOf(upstreamOf({ exchange: {}, clientCredentials: {} }))).toEqual([
      "upstreams.crm.exchange: cannot stand beside clientCredentials: an upstream has one kind of token. Give one of them",
    ]);
  });

  test("needs session sources that have a JWT", () => {
    const opaque = { name: "browsers", opaque: { from: { cookie: "sid" } } };
    const sessions = [jwtSource, opaque];
    expect(problemsOf({ ...upstreamOf({ exchange: {} }), sessions })).toEqual([
      'upstreams.crm.exchange: needs each session\'s own JWT, and those of "browsers" (opaque) have none',
    ]);
    expect(problemsOf({ ...upstreamOf({ clientCredentials: {} }), sessions })).toEqual([]);
  });

  test("takes what Envoy has verified where it is said in which place Envoy leaves the JWT", () => {
    const metadata = { namespace: "envoy.filters.http.jwt_authn", path: ["payload", "sid"] };
    const withSource = (more: object) => ({
      ...upstreamOf({ exchange: {} }),
      sessions: [{ name: "agents", metadata: { ...metadata, ...more } }],
    });
    const forwarded = { header: "authorization" };
    expect(problemsOf(withSource({ forwarded }))).toEqual([]);
    expect(problemsOf(withSource({}))).toEqual([
      'upstreams.crm.exchange: needs each session\'s own JWT, and those of "agents" (metadata) have none: give its metadata.forwarded, the place where Envoy leaves the JWT',
    ]);
    expect(problemsOf(withSource({ forwarded, path: ["sid"] }))).toEqual([
      expect.stringMatching(/^sessions\[0\]\.metadata\.path: must lead to the id by way of the JWT's whole payload/),
    ]);
  });
});

describe("an upstream with jwtBearer", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const env = { ...environment, KEY: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
  const signed = { privateKey: "${env:KEY}", privateKeyAlgorithm: "ES256", issuer: "account" };
  const byAssertion = (more: object, upstream: object = {}) => ({
    upstreams: {
      crm: {
        tokenEndpoint: "https://idp.example.com/token",
        jwtBearer: { assertion: { ...signed, ...more } },
        ...upstream,
      },
    },
  });

  test("signs for the account itself, at the token endpoint and without a client, unless it says otherwise", () => {
    const { minted, clientAuth } = load(byAssertion({}), env).config.upstreams.crm ?? {};
    expect(clientAuth).toEqual({ method: "unsent" });
    expect(minted).toMatchObject({
      assertion: {
        ...{ algorithm: "ES256", issuer: "account", subject: { kind: "fixed", subject: "account" } },
        ...{ audience: "https://idp.example.com/token", lifeMs: 300_000 },
      },
    });
    const client = { clientId: "gateway", clientSecret: "${env:CRM_SECRET}" };
    expect(load(byAssertion({}, client), env).config.upstreams.crm?.clientAuth.method).toBe("client_secret_basic");
    expect(load(byAssertion({ subject: { claim: "upn" } }), env).config.upstreams.crm?.minted).toMatchObject({
      assertion: { subject: { kind: "claim", claim: "upn" } },
    });
  });

  test.each([
    [{ privateKeyAlgorithm: "RS256" }, /assertion\.privateKey: is not a PEM private key for RS256$/],
    [{ claims: { sub: "other" } }, /assertion\.claims\.sub: is set by the keys of the assertion$/],
    [{ subject: { claim: "email" } }, /claim: email needs verified and domains/],
    [{ subject: { claim: "upn", domains: ["example.com", "@example.org"] } }, /must be a whole domain/],
    [{ subject: { claim: "upn", domains: ["*.example.com"] } }, /must be a whole domain/],
    [{ subject: { claim: "upn", domains: ["example.com."] } }, /must be a whole domain/],
    [{ life: "2h" }, /assertion\.life: must be from 1s to 1h$/],
  ])("takes no %j", (more, problem) => {
    expect(problemsOf(byAssertion(more), env)).toEqual([expect.stringMatching(problem)]);
  });

  test("names no secret without a client, and needs one to show a session's JWT", () => {
    expect(problemsOf(byAssertion({}, { clientSecret: "${env:CRM_SECRET}" }), env)).toEqual([
      "upstreams.crm.clientSecret: goes with clientId",
    ]);
    const session = { tokenEndpoint: "https://idp.example.com/token", jwtBearer: { assertion: "session" } };
    expect(problemsOf({ upstreams: { crm: session } })).toEqual(["upstreams.crm.clientId: is missing"]);
  });

  test("needs session sources that have a JWT, but not for the account itself", () => {
    const sessions = [jwtSource, { name: "browsers", opaque: { from: { cookie: "sid" } } }];
    expect(problemsOf({ ...byAssertion({ subject: { claim: "upn" } }), sessions }, env)).toEqual([
      expect.stringMatching(/^upstreams\.crm\.jwtBearer: needs each session's own JWT/),
    ]);
    expect(problemsOf({ ...byAssertion({ subject: "fixed" }), sessions }, env)).toEqual([]);
  });
});
