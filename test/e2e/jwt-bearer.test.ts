import { generateKeyPairSync } from "node:crypto";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMintingServer } from "../support/minting-server.ts";
import { resources } from "../support/resources.ts";
import { bearsOutages, type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

const use = resources();
const account = "gateway@project.example.com";
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const keys = { ES256: ec, RS256: rsa, PS256: rsa, EdDSA: generateKeyPairSync("ed25519") };

interface WorldOptions {
  /** What we sign; absent: the session's own JWT is the grant. */
  readonly assertion?: object;
  readonly algorithm?: keyof typeof keys;
  readonly options?: Partial<MintedWorldOptions>;
}

async function world({ assertion, algorithm = "ES256", options = {} }: WorldOptions = {}) {
  const issuer = await use.use(startJwtIssuer());
  const { publicKey, privateKey } = keys[algorithm];
  const known = { publicKey, issuer: account, algorithms: [algorithm] };
  const server = assertion === undefined ? {} : { account: known };
  const provider = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl, ...server }));
  const onBehalf = { assertion: "session", scope: "api/.default", parameters: { requested_token_use: "on_behalf_of" } };
  const signed = { privateKey: "${env:KEY}", privateKeyAlgorithm: algorithm, issuer: account, ...assertion };
  const client = { clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const upstream = {
    tokenEndpoint: provider.tokenEndpoint,
    ...(assertion === undefined ? { ...client, jwtBearer: onBehalf } : { jwtBearer: { assertion: signed } }),
  };
  const env = {
    SECRET: provider.client.secret,
    KEY: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
  const minted = await startMintedWorld(use, { upstream, accepts: provider.isActive, issuer, env, ...options });
  const usersAtApi = () =>
    minted.api.requests.map(({ headers }) => provider.subjectOf(headers.authorization?.slice("Bearer ".length) ?? ""));
  return { ...minted, provider, usersAtApi };
}

const reasonOf = ({ status, body }: { status: number; body: string }) => [status, JSON.parse(body).reason];

describe("jwtBearer with the session's own JWT, through Envoy", () => {
  test("each user gets a token on their behalf, by one call for all replicas and requests", async () => {
    const stack = await world({ options: { replicas: 3 } });
    const [ann, bob] = [await stack.session("s1", { sub: "ann" }), await stack.session("s2", { sub: "bob" })];
    for (const headers of [ann, bob]) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => stack.send(headers)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    }
    expect(new Set(stack.usersAtApi())).toEqual(new Set(["ann", "bob"]));
    expect(stack.provider.attempts).toHaveLength(2);
    expect(stack.provider.attempts[0]?.fields).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: ann.authorization?.slice("Bearer ".length),
      requested_token_use: "on_behalf_of",
      scope: "api/.default",
    });
  });

  test("a user who has to log in or consent, or to bring another JWT, gets 401 grant_refused, and others their tokens", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.session("s1", { sub: "ann" }), await stack.session("s2", { sub: "bob" })];
    for (const error of ["interaction_required", "consent_required", "invalid_grant", "jti_known"]) {
      stack.provider.refuse("ann", error);
      expect(reasonOf(await stack.send(ann))).toEqual([401, "grant_refused"]);
      expect((await stack.send(bob)).status).toBe(200);
      stack.clock.shift(10_000);
    }
  });

  test("a token that has ended is replaced; a provider that is down gives 503 with its Retry-After, and Redis down changes nothing", async () => {
    const stack = await world();
    const headers = await stack.session("s1", { sub: "ann" }, 9_000);
    expect((await stack.send(headers)).status).toBe(200);
    stack.clock.shift(3_700_000);
    await bearsOutages(stack, headers);
    expect(stack.provider.attempts).toHaveLength(2);
  });
});

describe("jwtBearer with an assertion that we sign, through Envoy", () => {
  test.each(["ES256", "RS256", "PS256", "EdDSA"] as const)(
    "signs with %s for the account itself: one token for all sessions, and no client is named",
    async (algorithm) => {
      const stack = await world({ algorithm, assertion: { privateKeyId: "key-1", claims: { scope: "drive" } } });
      for (const sid of ["s1", "s2"]) expect((await stack.send(await stack.session(sid))).status).toBe(200);
      const [attempt, ...others] = stack.provider.attempts;
      expect(others).toEqual([]);
      const { assertion = "", ...fields } = attempt?.fields ?? {};
      expect(fields).toEqual({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer" });
      expect(decodeProtectedHeader(assertion)).toEqual({ alg: algorithm, kid: "key-1", typ: "JWT" });
      const { iat = 0, exp = 0, jti, ...claims } = decodeJwt(assertion);
      expect(claims).toEqual({ iss: account, sub: account, aud: stack.provider.tokenEndpoint, scope: "drive" });
      expect([exp - iat, typeof jti]).toEqual([300, "string"]);
    },
  );

  test("acts for the user whom a verified claim names, within the domains, and for nobody else", async () => {
    const subject = { claim: "email", verified: "email_verified", domains: ["example.com"] };
    const stack = await world({ assertion: { subject } });
    const session = (email: unknown, verified: unknown = true) =>
      stack.session(JSON.stringify([email, verified]), { email, email_verified: verified });
    expect((await stack.send(await session("ann@example.com"))).status).toBe(200);
    expect((await stack.send(await session("bob@Example.com"))).status).toBe(200);
    expect(stack.usersAtApi()).toEqual(["ann@example.com", "bob@Example.com"]);
    for (const headers of [
      await session("eve@example.com", false),
      await session("eve@example.com", "true"),
      await session("eve@evil.example"),
      await session("eve@evil.example@example.com"),
      await session("eve@example.com@evil.example"),
      await session("@example.com"),
      await session("example.com"),
      await session(["ann@example.com"]),
      await session(""),
      await stack.session("none"),
    ])
      expect(reasonOf(await stack.send(headers))).toEqual([401, "grant_refused"]);
    expect(stack.provider.attempts).toHaveLength(2);
  });

  test("an account that the provider refuses is a mistake of ours: 503, and an error in the log", async () => {
    const stack = await world({ assertion: { subject: "nobody" } });
    stack.provider.refuse("nobody");
    const answer = await stack.send(await stack.session("s1"));
    expect(reasonOf(answer)).toEqual([503, "unavailable"]);
    expect(stack.services[0]?.events("mint")).toMatchObject([{ level: "error", reason: "invalid_grant" }]);
  });
});
