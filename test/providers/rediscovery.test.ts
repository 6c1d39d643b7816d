import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { type HttpHandler, type HttpServer, sendJson, startHttpServer } from "../support/http-servers.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { present, providerOf } from "./presentation.ts";

const { use } = resources();

/** An issuer whose metadata name whatever they are told to by now. */
async function startIssuer(metadata: Record<string, string>) {
  let asked = 0;
  const server: HttpServer = await use(
    startHttpServer((_, response) => {
      asked += 1;
      sendJson(response, 200, { issuer: server.url, ...metadata });
    }),
  );
  return { issuer: server.url, metadata, asked: () => asked };
}

const answering = (status: number): HttpHandler => {
  return (_, response) => sendJson(response, status, {});
};

const gone: readonly (readonly [string, () => Promise<string>, RegExp])[] = [
  ["404", async () => (await use(startHttpServer(answering(404)))).url, /^http_404$/],
  ["410", async () => (await use(startHttpServer(answering(410)))).url, /^http_410$/],
  [
    "a certificate that does not verify",
    async () =>
      (await use(startHttpServer(answering(200), { tls: await (await use(createCertificateAuthority())).server() })))
        .url,
    /^unable_to_verify_leaf_signature$/,
  ],
  [
    "a server that does not speak TLS",
    async () => (await use(startHttpServer(answering(200)))).url.replace("http:", "https:"),
    /^(eproto|err_ssl_.*)$/,
  ],
  ["no server any more", async () => `http://127.0.0.1:${await freePort()}`, /^econnrefused$/],
  ["a name that is gone", async () => "http://moved-away.invalid", /^(enotfound|eai_again)$/],
];

test.each(gone)(
  "a token endpoint with %s is looked for again, and the next refresh finds it",
  async (_, where, why) => {
    const endpoint = await use(startTokenEndpoint());
    const { issuer, metadata, asked } = await startIssuer({ token_endpoint: `${await where()}/token` });
    const provider = providerOf({ issuer });
    const refreshToken = endpoint.tokens.login().refresh_token;
    expect(await present(provider, refreshToken)).toMatchObject({ why: expect.stringMatching(why) });
    metadata.token_endpoint = endpoint.url;
    expect((await present(provider, refreshToken)).kind).toBe("tokens");
    expect(asked()).toBe(2);
  },
);

test.each([
  ["500", { status: 500 }],
  ["a refusal", { status: 400, body: { error: "invalid_grant" } }],
])("a token endpoint that answers %s is where it was", async (_, script) => {
  const endpoint = await use(startTokenEndpoint());
  const { issuer, asked } = await startIssuer({ token_endpoint: endpoint.url });
  const provider = providerOf({ issuer });
  endpoint.respondAlways(script);
  for (let times = 0; times < 2; times++) await present(provider);
  expect(asked()).toBe(1);
});

test("a login whose code finds no token endpoint makes it be looked for: the next login, and the next refresh, find it", async () => {
  const endpoint = await use(startTokenEndpoint());
  const old = await use(startHttpServer(answering(404)));
  const { issuer, metadata, asked } = await startIssuer({
    token_endpoint: `${old.url}/token`,
    authorization_endpoint: `${old.url}/authorize`,
  });
  const provider = providerOf({ issuer, connect: { parameters: {} } });
  const login = {
    redirectUri: "https://gateway.example.com/callback",
    state: "state-1",
    nonce: "nonce-1",
    verifier: "v".repeat(43),
  };
  const redeem = () =>
    provider.login?.redeem(
      new URL(`${login.redirectUri}?code=c&state=state-1&iss=${encodeURIComponent(issuer)}`),
      login,
    );
  expect(await redeem()).toMatchObject({ kind: "failed", why: expect.stringContaining("http_404") });

  metadata.token_endpoint = endpoint.url;
  endpoint.respondNext({ body: endpoint.tokens.login() });
  expect(await redeem()).toMatchObject({ kind: "tokens" });
  expect((await present(provider, endpoint.tokens.login().refresh_token)).kind).toBe("tokens");
  expect(asked()).toBe(2);
});

test("a revocation whose endpoint has moved goes to where it is now: nobody asks for it a second time", async () => {
  const endpoint = await use(startTokenEndpoint());
  const old = await use(
    startHttpServer((_, response) => {
      metadata.revocation_endpoint = endpoint.revocationUrl;
      sendJson(response, 404, {});
    }),
  );
  const { issuer, metadata, asked } = await startIssuer({
    token_endpoint: endpoint.url,
    revocation_endpoint: `${old.url}/revoke`,
  });
  const { refresh_token: refreshToken } = endpoint.tokens.login();
  expect(await providerOf({ issuer }).revoke?.(new Secret(refreshToken), undefined)).toBeUndefined();
  expect([endpoint.revoked, asked()]).toEqual([[refreshToken], 2]);
});

test("a revocation whose endpoint is gone and nowhere else says so, having asked each once", async () => {
  const paths: string[] = [];
  const old = await use(
    startHttpServer((request, response) => {
      paths.push(request.url ?? "");
      sendJson(response, 404, {});
    }),
  );
  const { issuer, asked } = await startIssuer({
    token_endpoint: `${old.url}/token`,
    revocation_endpoint: `${old.url}/revoke`,
  });
  expect(await providerOf({ issuer }).revoke?.(new Secret("refresh-0"), undefined)).toContain("404");
  expect([paths, asked()]).toEqual([["/revoke"], 2]);
});

test("a token endpoint that moves just after another was looked for is found at once; each has a cool-down of its own", async () => {
  const endpoint = await use(startTokenEndpoint());
  const old = await use(startHttpServer(answering(404)));
  const { issuer, metadata, asked } = await startIssuer({
    token_endpoint: `${old.url}/token`,
    revocation_endpoint: `${old.url}/revoke`,
  });
  const provider = providerOf({ issuer }, { clock: { ...systemClock(), monotonicMs: () => 0 } });
  const refreshToken = endpoint.tokens.login().refresh_token;
  await provider.revoke?.(new Secret(refreshToken), undefined);
  await provider.revoke?.(new Secret(refreshToken), undefined);
  expect(asked()).toBe(2);

  expect(await present(provider, refreshToken)).toMatchObject({ why: "http_404" });
  metadata.token_endpoint = endpoint.url;
  expect((await present(provider, refreshToken)).kind).toBe("tokens");
  expect(asked()).toBe(3);
});
