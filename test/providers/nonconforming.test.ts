import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { Secret } from "../../src/platform/secret.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { present, providerOf, revealed } from "./presentation.ts";

const { use } = resources();
const issuer = "https://idp.example.com";
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const tokens = { access_token: "access-2", refresh_token: "refresh-2", token_type: "Bearer", expires_in: 60 };
const kept = { kind: "tokens", accessToken: "access-2", refreshToken: "refresh-2" };

function idToken(claims: Record<string, unknown>): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ iss: issuer, aud: "gateway", sub: "user-1", iat: now, exp: now + 300, ...claims })
    .setProtectedHeader({ alg: "RS256" })
    .sign(privateKey);
}

async function outcomeOf(body: object | string, config: { issuer?: string } = { issuer }) {
  const endpoint = await use(startTokenEndpoint());
  endpoint.respondNext({ body });
  return revealed(await present(providerOf({ tokenEndpoint: endpoint.url, ...config })));
}

describe("what is wrong with an ID token is reported, and costs nobody the new tokens", () => {
  test.each([
    ["another issuer", { iss: "https://other.example.com" }, /claim value/],
    ["another client as audience", { aud: "somebody-else" }, /claim value/],
    ["expired", { exp: 1_000 }, /timestamp/],
    ["without a subject", { sub: undefined }, /invalid response|missing/],
  ])("%s", async (_, claims, problem) => {
    expect(await outcomeOf({ ...tokens, id_token: await idToken(claims) })).toMatchObject({
      ...kept,
      checks: expect.stringMatching(problem),
    });
  });

  test.each([
    ["no JWT", "rubbish"],
    ["three empty parts", ".."],
    ["a number", 5],
    ["an object", {}],
  ])("%s", async (_, id_token) => {
    expect(await outcomeOf({ ...tokens, id_token })).toMatchObject({ ...kept, checks: expect.any(String) });
  });

  test("a good one passes", async () => {
    expect(await outcomeOf({ ...tokens, id_token: await idToken({}) })).toMatchObject({ ...kept, checks: undefined });
  });

  test("where no issuer is configured there is nothing to compare it with", async () => {
    expect(
      await outcomeOf({ ...tokens, id_token: await idToken({ iss: "https://other.example.com" }) }, {}),
    ).toMatchObject({ ...kept, checks: undefined });
  });
});

describe("a response that bends the standard yields its tokens", () => {
  test.each([
    ["null fields", { id_token: null, scope: null, expires_in: null }],
    ["empty fields", { id_token: "", scope: "", expires_in: "" }],
    ["no token_type", { token_type: undefined }],
    ["a null token_type", { token_type: null }],
    ["Slack's token_type", { token_type: "bot", ok: true }],
    ["an upper-case token_type", { token_type: "BEARER" }],
    ["expires_in as a string", { expires_in: "60" }],
    ["scope as a list", { scope: ["read", "write"] }],
    ["zero for no expiry", { expires_in: 0 }],
    ["fields nobody knows", { authed_user: { id: "U1" }, team: null }],
  ])("without complaint: %s", async (_, fields) => {
    expect(await outcomeOf({ ...tokens, ...fields })).toMatchObject({ ...kept, checks: undefined });
  });

  test.each([
    ["expires_in in words", { expires_in: "tomorrow" }],
    ["a negative expires_in", { expires_in: -1 }],
  ])("and is reported: %s", async (_, fields) => {
    expect(await outcomeOf({ ...tokens, ...fields })).toMatchObject({ ...kept, checks: expect.any(String) });
  });

  test("also where only the refresh token can be used: it was rotated, and is the user's login", async () => {
    for (const access_token of [null, "", 7, "access\r\nx-admin: 1"]) {
      expect(await outcomeOf({ ...tokens, access_token })).toMatchObject({
        kind: "tokens",
        accessToken: undefined,
        refreshToken: "refresh-2",
      });
    }
  });

  test("and also under another content type, behind a byte order mark, or with another 2xx", async () => {
    const endpoint = await use(startTokenEndpoint());
    const provider = providerOf({ tokenEndpoint: endpoint.url });
    endpoint.respondNext({ headers: { "content-type": "text/html" }, body: tokens });
    endpoint.respondNext({ body: `\ufeff${JSON.stringify(tokens)}` });
    endpoint.respondNext({ status: 201, body: tokens });
    for (let time = 0; time < 3; time++)
      expect(await revealed(await present(provider))).toMatchObject({ ...kept, checks: undefined });
  });
});

test("the body is read once: a stream gives its tokens only the first time", async () => {
  const endpoint = await use(startTokenEndpoint());
  let reads = 0;
  const realFetch = createFetchFor({})(undefined);
  const fetch: typeof realFetch = async (...args) => {
    const response = await realFetch(...args);
    const text = await response.text();
    Object.defineProperty(response, "text", {
      value: async () => (reads++ === 0 ? text : expect.unreachable("text reads the body a second time")),
    });
    for (const method of ["json", "arrayBuffer", "blob", "clone"] as const) {
      Object.defineProperty(response, method, {
        value: () => expect.unreachable(`${method} reads the body a second time`),
      });
    }
    return response;
  };
  const outcome = await present(
    providerOf({ tokenEndpoint: endpoint.url, issuer }, { fetch }),
    endpoint.tokens.login().refresh_token,
  );
  expect(await revealed(outcome)).toMatchObject({ ...kept, checks: undefined });
  expect(reads).toBe(1);
});

test("a real OpenID provider: rotates, passes the checks, and refuses the used token as invalid_grant", async () => {
  const server = await use(startOidcServer());
  const provider = providerOf({
    issuer: server.issuer,
    clientId: server.client.id,
    clientAuth: { method: "client_secret_basic", secret: new Secret(server.client.secret) },
  });
  const login = await server.login();
  const first = await revealed(await present(provider, login.refresh_token));
  expect(first).toMatchObject({ kind: "tokens", expiresInMs: 5_000, checks: undefined });
  expect(await server.isActive(String(first.accessToken))).toBe(true);
  expect(await present(provider, login.refresh_token)).toEqual({
    kind: "refused",
    why: "invalid_grant",
    description: "grant request is invalid",
  });
  expect(server.refreshes()).toHaveLength(2);
});

test("no response body at all makes a presentation fail: it never throws, and tokens it holds are never lost", async () => {
  const endpoint = await use(startTokenEndpoint());
  const provider = providerOf({ tokenEndpoint: endpoint.url, issuer });
  const field = fc.constantFrom(
    "access_token",
    "refresh_token",
    "token_type",
    "expires_in",
    "scope",
    "id_token",
    "error",
    "__proto__",
  );
  const value = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom("token-1", "Bearer", "invalid_grant", 3600));
  const body = fc.oneof(
    { weight: 3, arbitrary: fc.array(fc.tuple(field, value)).map(Object.fromEntries) },
    { weight: 1, arbitrary: fc.json() },
    fc.string(),
  );
  const status = fc.constantFrom(200, 200, 200, 201, 204, 302, 304, 400, 401, 403, 429, 500, 503);
  await fc.assert(
    fc.asyncProperty(status, body, async (code, content) => {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      endpoint.respondNext({ status: code, body: code === 204 || code === 304 ? "" : text });
      const outcome = await revealed(await present(provider));
      const refreshToken =
        code < 203 && typeof content === "object" && typeof content.refresh_token === "string"
          ? content.refresh_token
          : "";
      if (/^[\x20-\x7e]+$/.test(refreshToken)) expect(outcome).toMatchObject({ kind: "tokens", refreshToken });
      expect(String(outcome.why ?? "")).toMatch(/^[\x20-\x7e]{0,100}$/);
    }),
    { numRuns: 300 },
  );
});
