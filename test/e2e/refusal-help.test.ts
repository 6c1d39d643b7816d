import { describe, expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { type Refusal, startMintingServer } from "../support/minting-server.ts";
import { resources } from "../support/resources.ts";
import { type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

const use = resources();
const consentUrl = "https://idp.example.com/authorize?client_id=gateway&prompt=consent";

/** A provider that acts on behalf of users, as Entra does, and a user `ann` whom it refuses by an answer. */
async function refused(answer: Refusal, options: Partial<MintedWorldOptions> = {}) {
  const issuer = await use.use(startJwtIssuer());
  const provider = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl }));
  const onBehalf = { assertion: "session", scope: "api/.default", parameters: { requested_token_use: "on_behalf_of" } };
  const upstream = {
    ...{ tokenEndpoint: provider.tokenEndpoint, issuer: "https://idp.example.com" },
    ...{ clientId: provider.client.id, clientSecret: "${env:SECRET}", jwtBearer: { ...onBehalf, consentUrl } },
  };
  const env = { SECRET: provider.client.secret };
  const stack = await startMintedWorld(use, { upstream, accepts: provider.isActive, issuer, env, ...options });
  provider.refuse("ann", answer);
  const headers = await stack.session("s1", { sub: "ann" });
  return { ...stack, provider, headers };
}

async function answerTo(answer: Refusal) {
  const stack = await refused(answer);
  // The second is answered by what is remembered of the first.
  const [first, { status, headers, body }] = [await stack.send(stack.headers), await stack.send(stack.headers)];
  expect([status, body]).toEqual([first.status, first.body]);
  expect(stack.provider.attempts).toHaveLength(1);
  return { status, body: JSON.parse(body), challenge: String(headers["www-authenticate"]) };
}

describe("a refusal of a session's own JWT, through Envoy", () => {
  test.each([
    ["in the word", { error: "consent_required" }],
    ["in Entra's second word", { error: "invalid_grant", suberror: "consent_required", error_codes: [65001] }],
  ])("for want of consent, %s, names the page where its user can give it", async (_, answer) => {
    const { status, body } = await answerTo(answer);
    expect([status, body.reason, body.consent_url]).toEqual([401, "grant_refused", consentUrl]);
  });

  test("of another kind names no such page", async () => {
    const { status, body } = await answerTo({ error: "invalid_grant", suberror: "bad_token" });
    expect([status, body.reason, "consent_url" in body]).toEqual([401, "grant_refused", false]);
  });

  test("with a claims request hands it to the client, whose next login has to make it", async () => {
    const claims = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}';
    const { status, body, challenge } = await answerTo({ error: "interaction_required", claims });
    expect([status, body.reason]).toEqual([401, "grant_refused"]);
    expect(challenge).toContain('error="insufficient_claims"');
    const [, encoded = ""] = /claims="([^"]+)"/.exec(challenge) ?? [];
    expect(Buffer.from(encoded, "base64").toString()).toBe(claims);
  });

  test.each(['"', "none", "[1]", `{"a":"${"x".repeat(5_000)}"}`, 5])(
    "with claims that are no object, or too long, hands on nothing: %j",
    async (claims) => {
      const { challenge } = await answerTo({ error: "interaction_required", claims });
      expect(challenge).toContain('error="invalid_token"');
      expect(challenge).not.toContain("claims=");
    },
  );

  test("names the provider's own page about the error", async () => {
    const error_uri = "https://idp.example.com/error?code=65001";
    const { body } = await answerTo({ error: "invalid_grant", error_uri });
    expect(body.error_uri).toBe(error_uri);
  });

  test("hands on nothing that repeats our secret", async () => {
    const stack = await refused({ error: "consent_required" });
    const { secret } = stack.provider.client;
    const claims = JSON.stringify({ client: secret });
    stack.provider.refuse("ann", { error: "invalid_grant", claims, error_uri: `https://idp.example.com/?s=${secret}` });
    const { status, headers, body } = await stack.send(stack.headers);
    expect([status, "error_uri" in JSON.parse(body)]).toEqual([401, false]);
    expect(String(headers["www-authenticate"])).not.toContain("claims=");
  });

  test.each([
    "https://evil.example/login",
    "http://idp.example.com/error",
    "https://idp.example.com:8443/error",
    "https://idp.example.com@evil.example/",
    "https://user@idp.example.com/",
    "https://idp.example.com.evil.example/",
    "//idp.example.com/error",
    "javascript:alert(1)",
    `https://idp.example.com/${"x".repeat(3_000)}`,
    ["https://idp.example.com/error"],
  ])("names no page of anybody else: %j", async (error_uri) => {
    const { status, body } = await answerTo({ error: "invalid_grant", error_uri });
    expect([status, body.reason, "error_uri" in body]).toEqual([401, "grant_refused", false]);
  });

  test("for want of consent is no 401 to an MCP client, but an answer with the page's address that its user reads", async () => {
    const connect = { publicUrl: "https://gateway.example.com" };
    const wiki = { issuer: "https://wiki.example.com", clientId: "gateway", connect: {} };
    const stack = await refused({ error: "consent_required" }, { config: { connect }, others: { wiki } });
    const client = await use.use(createExtAuthzClient(stack.services[0]?.grpc ?? ""));
    const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read" } };
    const request = httpRequest({
      ...{ method: "POST", path: "/mcp", contextExtensions: { upstream: "crm", mcp: "true" } },
      headers: { ...stack.headers, "content-type": "application/json" },
      body: JSON.stringify(call),
    });
    const { denied_response: denied } = await client.check(request);
    const { id, result } = JSON.parse(denied?.body ?? "");
    expect([denied?.status?.code, id, result.isError]).toEqual(["OK", 1, true]);
    expect(result.content[0].text).toContain(consentUrl);
  });
});
