import { expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { present, providerOf } from "./presentation.ts";

const { use } = resources();

/** Our client at a real OpenID provider. */
function clientAt({ issuer, client }: OidcServer, secret = client.secret) {
  return providerOf({
    issuer,
    clientId: client.id,
    clientAuth: { method: "client_secret_basic", secret: new Secret(secret) },
  });
}

test("ends a refresh token at a real provider by RFC 7009, at the endpoint that its metadata name: it is refused from then on", async () => {
  const server = await use(startOidcServer());
  const provider = clientAt(server);
  const { refresh_token } = await server.login();
  expect(await provider.revoke?.(new Secret(refresh_token))).toBeUndefined();
  expect(await present(provider, refresh_token)).toMatchObject({ kind: "refused", why: "invalid_grant" });
});

test("ends an access token as well, and a token that is none any more is no problem (RFC 7009 §2.2)", async () => {
  const server = await use(startOidcServer({ accessTokenLifeSeconds: 3_600 }));
  const provider = clientAt(server);
  const { access_token } = await server.login();
  expect(await server.isActive(access_token)).toBe(true);
  for (const token of [access_token, access_token, "never-issued"])
    expect(await provider.revoke?.(new Secret(token))).toBeUndefined();
  expect(await server.isActive(access_token)).toBe(false);
});

test("says what went wrong, without the token, and never rejects", async () => {
  const server = await use(startOidcServer());
  const { refresh_token } = await server.login();
  const wrongSecret = await clientAt(server, "wrong").revoke?.(new Secret(refresh_token));
  await server.stop();
  const down = await clientAt(server).revoke?.(new Secret(refresh_token));
  const unnamed = await providerOf({ tokenEndpoint: `${server.issuer}/token` }).revoke?.(new Secret(refresh_token));
  expect([wrongSecret, down, unnamed]).toEqual([
    expect.any(String),
    expect.any(String),
    "the provider names no revocation endpoint",
  ]);
  for (const problem of [wrongSecret, down, unnamed]) expect(problem).not.toContain(refresh_token);
});

test("uses the endpoint of the configuration where there is no issuer, and no other", async () => {
  const endpoint = await use(startTokenEndpoint());
  const provider = providerOf({ tokenEndpoint: endpoint.url, revocationEndpoint: endpoint.revocationUrl });
  const { refresh_token } = endpoint.tokens.login();
  expect(await provider.revoke?.(new Secret(refresh_token))).toBeUndefined();
  expect([endpoint.revoked, endpoint.tokens.isRevoked(refresh_token), endpoint.calls]).toEqual([
    [refresh_token],
    true,
    0,
  ]);
});
