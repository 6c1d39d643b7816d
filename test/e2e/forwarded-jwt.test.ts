import { describe, expect, test } from "vitest";
import { cluster } from "../support/envoy-config.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { audience, startMintingServer } from "../support/minting-server.ts";
import { resources } from "../support/resources.ts";
import { gatewayAudience, startMintedWorld } from "./minted-world.ts";

const use = resources();
const namespace = "envoy.filters.http.jwt_authn";
const typePrefix = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.";

interface WorldOptions {
  /** More of jwt_authn's provider. */
  readonly verifies?: object;
  /** What it requires of every request, in place of a JWT of that provider. */
  readonly requires?: object;
  readonly metadata?: object;
  readonly upstream?: object;
}

/** Envoy's jwt_authn verifies the sessions' JWTs and leaves them in the request; `crm` takes what they are exchanged for. */
async function world({ verifies = {}, requires, metadata = {}, upstream }: WorldOptions = {}) {
  const issuer = await use.use(startJwtIssuer());
  const provider = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl }));
  const source = { namespace, path: ["payload", "sid"], forwarded: { header: "authorization" }, ...metadata };
  const minted = await startMintedWorld(use, {
    upstream: {
      ...{ tokenEndpoint: provider.tokenEndpoint, clientId: provider.client.id, clientSecret: "${env:SECRET}" },
      ...(upstream ?? { exchange: { audience } }),
    },
    ...{ accepts: provider.isActive, issuer, env: { SECRET: provider.client.secret } },
    config: { sessions: [{ name: "agents", metadata: source }] },
    envoy: {
      filtersBefore: [jwtAuthn(issuer, verifies, requires)],
      clusters: [cluster("as", `127.0.0.1:${issuer.port}`, false)],
      extAuthz: { metadata_context_namespaces: [namespace], encode_raw_headers: true },
    },
  });
  const jwt = (claims: object, options: object = {}) => issuer.sign({ aud: gatewayAudience, ...claims }, options);
  const exchanged = () => provider.attempts.map(({ fields }) => fields.subject_token ?? fields.assertion);
  const usersAtApi = () => minted.api.requests.map(({ headers }) => provider.subjectOf(tokenIn(headers)));
  const reasons = () => minted.services[0]?.events("denied").map(({ why }) => why);
  return { ...minted, provider, jwt, exchanged, usersAtApi, reasons };
}

function jwtAuthn(issuer: JwtIssuer, more: object, requires: object = { provider_name: "agents" }): object {
  const agents = {
    ...{ issuer: issuer.issuer, audiences: [gatewayAudience], payload_in_metadata: "payload", forward: true },
    remote_jwks: { http_uri: { uri: issuer.jwksUrl, cluster: "as", timeout: "5s" }, cache_duration: "600s" },
    ...more,
  };
  const rules = [{ match: { prefix: "/" }, requires }];
  return {
    name: namespace,
    typed_config: { "@type": `${typePrefix}JwtAuthentication`, providers: { agents }, rules },
  };
}

const notVerified = "the JWT in the request is not the one that Envoy verified";
const bearer = (jwt: string) => ({ authorization: `Bearer ${jwt}` });
const tokenIn = (headers: Readonly<Record<string, unknown>>) => String(headers.authorization).slice("Bearer ".length);
const reasonOf = ({ status, body }: { status: number; body: string }) => [status, JSON.parse(body).reason];

describe("the JWT that Envoy's jwt_authn has verified and forwarded", () => {
  test("is exchanged, once for each, and never reaches the API", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.jwt({ sid: "s1", sub: "ann" }), await stack.jwt({ sid: "s2", sub: "bob" })];
    for (const jwt of [ann, bob, ann, bob]) expect((await stack.send(bearer(jwt))).status).toBe(200);
    expect(stack.usersAtApi()).toEqual(["ann", "bob", "ann", "bob"]);
    expect(stack.exchanged()).toEqual([ann, bob]);
  });

  test("is the grant on behalf of its user too, in a header of its own, with scopes that Envoy has made a list of", async () => {
    const header = "x-agent-jwt";
    const stack = await world({
      verifies: {
        from_headers: [{ name: header }],
        normalize_payload_in_metadata: { space_delimited_claims: ["scope"] },
      },
      metadata: { forwarded: { header } },
      upstream: {
        jwtBearer: { assertion: "session", scope: "read", parameters: { requested_token_use: "on_behalf_of" } },
      },
    });
    const jwt = await stack.jwt({
      sid: "s1",
      sub: "ann",
      scope: "a b",
      realm: { roles: ["x"], level: 1.5, none: null },
    });
    expect((await stack.send({ [header]: jwt })).status).toBe(200);
    expect(stack.exchanged()).toEqual([jwt]);
    expect(stack.api.requests[0]?.headers[header]).toBeUndefined();
  });

  test("is read from a cookie too, which goes no further, and its neighbours do", async () => {
    const stack = await world({ verifies: { from_cookies: ["agent"] }, metadata: { forwarded: { cookie: "agent" } } });
    const jwt = await stack.jwt({ sid: "s1", sub: "ann" });
    expect((await stack.send({ cookie: `theme=dark; agent=${jwt}` })).status).toBe(200);
    expect([stack.exchanged(), stack.api.requests[0]?.headers.cookie]).toEqual([[jwt], "theme=dark"]);
  });

  test("gets a token of its own if it is another one of the session, and none past its end", async () => {
    const stack = await world();
    for (const role of ["reader", "admin"])
      expect((await stack.send(bearer(await stack.jwt({ sid: "s1", sub: "ann", role })))).status).toBe(200);
    expect(stack.provider.attempts).toHaveLength(2);
    // Within what Envoy grants its issuer's clock, a minute.
    const ended = await stack.jwt({ sid: "s1", sub: "ann" }, { expiresIn: -5 });
    expect(reasonOf(await stack.send(bearer(ended)))).toEqual([401, "grant_refused"]);
    const endless = await stack.jwt({ sid: "s1", sub: "ann" }, { expiresIn: null });
    expect(reasonOf(await stack.send(bearer(endless)))).toEqual([401, "session_invalid"]);
    expect(stack.provider.attempts).toHaveLength(2);
  });

  test("must be there: a gateway that takes it out costs 503, and the log says what is missing", async () => {
    const stack = await world({ verifies: { forward: false } });
    const answer = await stack.send(bearer(await stack.jwt({ sid: "s1", sub: "ann" })));
    expect(reasonOf(answer)).toEqual([503, "unavailable"]);
    expect(stack.reasons()).toEqual([expect.stringContaining("no token of its own")]);
    expect(stack.provider.attempts).toEqual([]);
  });
});

describe("a client that has one JWT verified and sends another one", () => {
  const cookies = { from_cookies: ["agent"] };

  test.each<[string, object]>([
    ["of another user", { sub: "bob", sid: "s2" }],
    ["of another user under the same session id", { sub: "bob" }],
    ["that names no user", { sub: undefined }],
    ["of another issuer", { iss: "https://other.example.com" }],
    ["for another audience", { aud: "https://hr.example.com" }],
    ["with more roles", { roles: ["admin"] }],
    ["with other roles", { groups: ["a", "c"] }],
    ["with a later end", { exp: Math.floor(Date.now() / 1_000) + 90_000 }],
    ["whose user is a number beyond what metadata can hold", { uid: 9_007_199_254_740_992 }],
  ])("gets none for the one %s", async (_, claims) => {
    const stack = await world({ verifies: cookies });
    const mine = { sid: "s1", sub: "ann", uid: 9_007_199_254_740_992, groups: ["a", "b"] };
    const [verified, other] = [await stack.jwt(mine), await stack.jwt({ ...mine, ...claims })];
    const answer = await stack.send({ ...bearer(other), cookie: `agent=${verified}` });
    expect(reasonOf(answer)).toEqual([401, "session_invalid"]);
    expect(stack.reasons()).toEqual([notVerified]);
    expect(stack.provider.attempts).toEqual([]);
  });

  test("gets the one in the header for itself where Envoy verifies one in the query too", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.jwt({ sid: "s1", sub: "ann" }), await stack.jwt({ sid: "s2", sub: "bob" })];
    for (const [query, header, status] of [
      [ann, bob, 200],
      [bob, ann, 200],
      [ann, await stack.jwt({ sid: "s2", sub: "bob" }, { forged: true }), 401],
    ] as const)
      expect((await stack.send(bearer(header), `/?access_token=${query}`)).status).toBe(status);
    expect(stack.exchanged()).toEqual([bob, ann]);
  });

  test("gets none for a bad one even where Envoy lets bad ones pass beside a good one", async () => {
    const anyAtAll = { requires_any: { requirements: [{ provider_name: "agents" }, { allow_missing_or_failed: {} }] } };
    const stack = await world({ requires: anyAtAll });
    const ann = await stack.jwt({ sid: "s1", sub: "ann" });
    const bob = await stack.jwt({ sid: "s2", sub: "bob" }, { forged: true });
    expect(reasonOf(await stack.send(bearer(bob), `/?access_token=${ann}`))).toEqual([401, "session_invalid"]);
    expect(stack.reasons()).toEqual([notVerified]);
    expect(stack.provider.attempts).toEqual([]);
  });

  test.each<[string, (verified: string, other: string) => Record<string, string | string[]>]>([
    ["two lines of the header", (a, b) => ({ authorization: [`Bearer ${a}`, `Bearer ${b}`] })],
    ["two lines the other way round", (a, b) => ({ authorization: [`Bearer ${b}`, `Bearer ${a}`] })],
    ["two in one line", (a, b) => ({ authorization: `Bearer ${a}, Bearer ${b}` })],
    ["words before it", (a) => ({ authorization: `Bearer !${a}` })],
    ["words behind it", (a, b) => ({ authorization: `Bearer ${a}!${b}` })],
    ["base64 with padding", (a) => ({ authorization: `Bearer ${a.replace(".", "=.")}` })],
  ])("gets none for %s", async (_, headersOf) => {
    const stack = await world();
    const [ann, bob] = [await stack.jwt({ sid: "s1", sub: "ann" }), await stack.jwt({ sid: "s2", sub: "bob" })];
    const { status } = await stack.send(headersOf(ann, bob));
    expect(status).toBe(401);
    expect(stack.provider.attempts).toEqual([]);
    expect(stack.api.requests).toEqual([]);
  });

  test("gets nothing by forged signatures but one refusal, and costs the provider one call", async () => {
    const stack = await world({ verifies: cookies });
    const verified = await stack.jwt({ sid: "s1", sub: "ann" });
    const [head, payload, signature = ""] = verified.split(".");
    const forged = ["A", "B", "C"].map((first) => `${head}.${payload}.${first}${signature.slice(1)}`);
    for (const jwt of forged)
      expect(reasonOf(await stack.send({ ...bearer(jwt), cookie: `agent=${verified}` }))).toEqual([
        401,
        "grant_refused",
      ]);
    expect(stack.provider.attempts).toHaveLength(1);
    expect(stack.api.requests).toEqual([]);
  });
});
