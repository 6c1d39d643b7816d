import { generateKeyPairSync } from "node:crypto";
import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMintingSimulator } from "../support/minting-simulator.ts";
import { resources } from "../support/resources.ts";
import type { MintingPreset } from "../support/simulated-minting.ts";
import { gatewayAudience, startMintedWorld } from "./minted-world.ts";

const use = resources();
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const otherKey = generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey;
const pem = (key: typeof privateKey) => key.export({ type: "pkcs8", format: "pem" }) as string;

const client = { clientId: gatewayAudience, clientSecret: "${env:SECRET}" };
const byEmail = { claim: "email", verified: "email_verified", domains: ["example.com", "other.example"] };
const google = {
  ...{ privateKey: "${env:KEY}", issuer: "gateway@project.iam.gserviceaccount.com", subject: byEmail },
  claims: { scope: "https://www.googleapis.com/auth/drive.readonly" },
};
const salesforce = { privateKey: "${env:KEY}", issuer: "consumer-key", subject: byEmail };

/** What an operator says beside the preset, as docs/credentials.md shows it. */
const operators: Readonly<Record<MintingPreset, object>> = {
  entra: {
    tenant: "contoso",
    ...client,
    jwtBearer: { assertion: "session", scope: "https://graph.microsoft.com/.default" },
  },
  okta: { domain: "example.okta.com", ...client, exchange: { audience: "com.api.atko", scope: "api:access:read" } },
  keycloak: { domain: "sso.example.com", realm: "staff", ...client, exchange: { audience: "hr" } },
  google: { jwtBearer: { assertion: google } },
  salesforce: { jwtBearer: { assertion: salesforce } },
};
const names = Object.keys(operators) as MintingPreset[];
const isSigned = (name: MintingPreset) => name === "google" || name === "salesforce";

async function world(name: MintingPreset, more: object = {}, env: object = {}) {
  const issuer = await use.use(startJwtIssuer());
  const provider = await use.use(
    startMintingSimulator(name, isSigned(name) ? { publicKey } : { jwksUrl: issuer.jwksUrl }),
  );
  const place = isSigned(name) ? { tokenEndpoint: provider.tokenEndpoint } : { issuer: provider.issuer };
  const upstream = { preset: name, ...operators[name], ...place, ...more };
  const stack = await startMintedWorld(use, {
    ...{ upstream, accepts: provider.isActive, issuer, env: { SECRET: "secret", KEY: pem(privateKey), ...env } },
    // In these tests another audience is to get past ourselves, and be refused by the provider.
    jwt: { audience: [gatewayAudience, "another"] },
  });
  const session = (user: string, claims: object = {}) => {
    const email = user.includes("@") ? user : `${user}@example.com`;
    return stack.session(user, { sub: user, email, email_verified: true, ...claims }, 90_000);
  };
  const usersAtApi = () =>
    stack.api.requests.map(({ headers }) => provider.subjectOf(String(headers.authorization).slice("Bearer ".length)));
  return { ...stack, provider, session, usersAtApi };
}

const reasonOf = ({ status, body }: { status: number; body: string }) => [status, JSON.parse(body).reason];
const refused = [401, "grant_refused"];
const unavailable = [503, "unavailable"];

describe.each(names)("the preset %s, where tokens are minted, through Envoy", (name) => {
  test("each user's session gets that user's token, once, and another when it has ended", async () => {
    const stack = await world(name);
    const [ann, bob] = [await stack.session("ann"), await stack.session("bob")];
    for (const headers of [ann, bob, ann]) expect((await stack.send(headers)).status).toBe(200);
    const of = (user: string) => (isSigned(name) ? `${user}@example.com` : user);
    expect(stack.usersAtApi()).toEqual([of("ann"), of("bob"), of("ann")]);
    expect(stack.provider.asked).toHaveLength(2);
    stack.clock.shift(3_700_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => stack.send(ann)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(stack.provider.asked.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
  });

  test("a user whom the provider refuses is told so, and others get their tokens", async () => {
    const stack = await world(name);
    const [refusedUser, ann] = [await stack.session("new"), await stack.session("ann")];
    for (let sent = 0; sent < 2; sent++) expect(reasonOf(await stack.send(refusedUser))).toEqual(refused);
    expect((await stack.send(ann)).status).toBe(200);
    expect(stack.provider.asked).toHaveLength(2);
  });

  test("a provider that is down gives 503 with its Retry-After, and then the token", async () => {
    const stack = await world(name);
    const ann = await stack.session("ann");
    stack.provider.down();
    const answer = await stack.send(ann);
    expect([...reasonOf(answer), answer.headers["retry-after"]]).toEqual([...unavailable, "7"]);
    stack.provider.up();
    stack.clock.shift(7_000);
    expect((await stack.send(ann)).status).toBe(200);
  });
});

describe("a mistake of the operator, which no login cures, is 503 and an error in the log", () => {
  const another = { aud: "another" };
  test.each<[string, MintingPreset, object, object, string]>([
    ["a wrong secret at Entra", "entra", {}, { env: { SECRET: "wrong" } }, "invalid_client"],
    ["a JWT for another application at Entra", "entra", another, {}, "500131"],
    ["a wrong secret at Okta", "okta", {}, { env: { SECRET: "wrong" } }, "invalid_client"],
    [
      "a scope that Okta does not give",
      "okta",
      {},
      { exchange: { audience: "com.api.atko", scope: "openid" } },
      "invalid_scope",
    ],
    ["a wrong secret at Keycloak", "keycloak", {}, { env: { SECRET: "wrong" } }, "unauthorized_client"],
    ["a JWT for another client at Keycloak", "keycloak", another, {}, "access_denied"],
    ["an ID token at Keycloak", "keycloak", {}, { exchange: { subjectTokenType: "id_token" } }, "invalid_request"],
    ["another key than Google knows", "google", {}, { env: { KEY: pem(otherKey) } }, "invalid_grant"],
    [
      "another account than Google knows",
      "google",
      {},
      { jwtBearer: { assertion: { ...google, issuer: "x" } } },
      "invalid_grant",
    ],
    [
      "an assertion for Google without scope",
      "google",
      {},
      { jwtBearer: { assertion: { ...google, claims: {} } } },
      "invalid_scope",
    ],
    ["another key than Salesforce knows", "salesforce", {}, { env: { KEY: pem(otherKey) } }, "invalid_grant"],
    [
      "another app than Salesforce knows",
      "salesforce",
      {},
      { jwtBearer: { assertion: { ...salesforce, issuer: "x" } } },
      "invalid_client_id",
    ],
    ["another audience than Salesforce is", "salesforce", {}, { instance: "acme.my.salesforce.com" }, "invalid_grant"],
    [
      "a scope at Salesforce",
      "salesforce",
      {},
      { jwtBearer: { scope: "api", assertion: salesforce } },
      "invalid_request",
    ],
  ])("%s", async (_, name, claims, { env = {}, ...more }: { env?: object }, reason) => {
    const stack = await world(name, more, env);
    expect(reasonOf(await stack.send(await stack.session("ann", claims)))).toEqual(unavailable);
    expect(stack.services[0]?.events("mint")).toMatchObject([{ level: "error", reason }]);
  });
});

test("Entra's words for a user who has to consent, or to log in better, reach the client", async () => {
  const consentUrl = "https://login.microsoftonline.com/contoso/oauth2/v2.0/authorize?client_id=gateway";
  const stack = await world("entra", { jwtBearer: { assertion: "session", scope: "api/.default", consentUrl } });
  const consent = await stack.send(await stack.session("new"));
  expect([...reasonOf(consent), JSON.parse(consent.body).consent_url]).toEqual([...refused, consentUrl]);
  const weak = await stack.send(await stack.session("ann", { weak: true }));
  expect(reasonOf(weak)).toEqual(refused);
  expect(weak.headers["www-authenticate"]).toMatch(/error="insufficient_claims", claims="[A-Za-z0-9+/=]+"/);
});

test("Google's unauthorized_client is about one user, until it is given for one user after another", async () => {
  const stack = await world("google");
  const strangers = Array.from({ length: 6 }, (_, at) => `user-${at}@other.example`);
  expect(reasonOf(await stack.send(await stack.session("stranger@other.example")))).toEqual(refused);
  expect((await stack.send(await stack.session("ann"))).status).toBe(200);
  const statuses = [];
  for (const stranger of strangers) statuses.push((await stack.send(await stack.session(stranger))).status);
  expect(statuses).toEqual([401, 401, 401, 401, 503, 503]);
});

test.each(["barred", "gone"])("Salesforce's own word for a user who is %s is a refusal", async (user) => {
  const stack = await world("salesforce");
  expect(reasonOf(await stack.send(await stack.session(user)))).toEqual(refused);
});

test("Salesforce's assertions are good for two minutes, and its tokens, whose life it does not say, for accessTokenLife", async () => {
  const stack = await world("salesforce", { accessTokenLife: "1h" });
  const ann = await stack.session("ann");
  expect((await stack.send(ann)).status).toBe(200);
  const { iat = 0, exp = 0, aud } = decodeJwt(stack.provider.asked[0]?.fields.assertion ?? "");
  expect([exp - iat, aud]).toEqual([120, "https://login.salesforce.com"]);
  stack.clock.shift(3_000_000);
  expect((await stack.send(ann)).status).toBe(200);
  expect(stack.provider.asked).toHaveLength(1);
});
