import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import type { HttpFetch } from "../../src/platform/fetch-for.ts";
import { httpAnswer } from "../../src/platform/http-answer.ts";
import { type HttpHandler, type HttpServer, sendJson, startHttpServer } from "../support/http-servers.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { manualTimeouts } from "./manual-timeouts.ts";
import { present, providerOf } from "./presentation.ts";

const { use } = resources();

/** An issuer whose metadata names another server's token endpoint; what it was asked is kept. */
async function issuerFor(
  endpoint: TokenEndpoint,
  path: string,
  answers: readonly string[],
  elsewhere: HttpHandler = notFound,
) {
  const asked: string[] = [];
  const server: HttpServer = await use(
    startHttpServer((request, response) => {
      asked.push(request.url ?? "");
      if (!answers.includes(request.url ?? "")) return elsewhere(request, response);
      return sendJson(response, 200, { issuer: `${server.url}${path}`, token_endpoint: endpoint.url });
    }),
  );
  return { issuer: `${server.url}${path}`, asked };
}

const notFound: HttpHandler = (_, response) => sendJson(response, 404, {});
const webPage: HttpHandler = (_, response) =>
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");

test("finds the token endpoint by OpenID Connect Discovery, once for all refreshes", async () => {
  const endpoint = await use(startTokenEndpoint());
  const { issuer, asked } = await issuerFor(endpoint, "/tenant", ["/tenant/.well-known/openid-configuration"]);
  const provider = providerOf({ issuer });
  const outcomes = await Promise.all([1, 2, 3].map(() => present(provider, endpoint.tokens.login().refresh_token)));
  expect(outcomes.map(({ kind }) => kind)).toEqual(["tokens", "tokens", "tokens"]);
  expect(asked).toEqual(["/tenant/.well-known/openid-configuration"]);
});

test.each([
  ["404 for the OpenID path", notFound],
  ["a web page for every path", webPage],
  ["503 for the OpenID path", ((_, response) => sendJson(response, 503, {})) satisfies HttpHandler],
])(
  "finds it by RFC 8414 too, at a server with %s: an OAuth server need not be an OpenID provider",
  async (_, elsewhere) => {
    const endpoint = await use(startTokenEndpoint());
    const { issuer, asked } = await issuerFor(
      endpoint,
      "/tenant",
      ["/.well-known/oauth-authorization-server/tenant"],
      elsewhere,
    );
    expect((await present(providerOf({ issuer }), endpoint.tokens.login().refresh_token)).kind).toBe("tokens");
    expect(asked).toEqual([
      "/tenant/.well-known/openid-configuration",
      "/.well-known/oauth-authorization-server/tenant",
    ]);
  },
);

test("takes no metadata of another issuer, which could name its own token endpoint", async () => {
  const endpoint = await use(startTokenEndpoint());
  const server = await use(
    startHttpServer((_, response) =>
      sendJson(response, 200, { issuer: "https://other.example.com", token_endpoint: endpoint.url }),
    ),
  );
  expect(await present(providerOf({ issuer: server.url }))).toMatchObject({
    kind: "transient",
    why: expect.stringContaining("issuer"),
  });
  expect(endpoint.calls).toBe(0);
});

test("an issuer that is down is transient, and is asked again at the next refresh: a failure at start is not for ever", async () => {
  const port = await freePort();
  const provider = providerOf({ issuer: `http://127.0.0.1:${port}` });
  expect(await present(provider)).toMatchObject({
    kind: "transient",
    why: expect.stringMatching(/^discovery failed: /),
  });

  const endpoint = await use(startTokenEndpoint({ port }));
  expect(await present(provider, endpoint.tokens.login().refresh_token)).toMatchObject({ kind: "tokens" });
});

test("an issuer without usable metadata is transient, and no token is sent anywhere", async () => {
  const endpoint = await use(startTokenEndpoint());
  const { issuer, asked } = await issuerFor(endpoint, "", []);
  const provider = providerOf({ issuer });
  for (const times of [1, 2]) {
    expect(await present(provider)).toMatchObject({ kind: "transient" });
    expect(asked).toHaveLength(2 * times);
  }
  expect(endpoint.calls).toBe(0);
});

test("an issuer that hangs is asked by one request, which all refreshes share and which is given up after 8 s", async () => {
  const limits = manualTimeouts();
  const asked: string[] = [];
  const server = await use(startHttpServer((request) => void asked.push(request.url ?? "")));
  const provider = providerOf({ issuer: server.url });
  const outcomes = Promise.all([present(provider), present(provider), present(provider)]);
  await until("the request", () => asked.length > 0);
  limits.expire();
  expect((await outcomes).map(({ kind }) => kind)).toEqual(["transient", "transient", "transient"]);
  expect([asked, limits.asked]).toEqual([["/.well-known/openid-configuration"], [8_000]]);
});

test("tokenEndpoint wins over the issuer's metadata, and needs none", async () => {
  const endpoint = await use(startTokenEndpoint());
  const { issuer, asked } = await issuerFor(endpoint, "", []);
  expect(
    (await present(providerOf({ issuer, tokenEndpoint: endpoint.url }), endpoint.tokens.login().refresh_token)).kind,
  ).toBe("tokens");
  expect(asked).toEqual([]);
});

test("a token endpoint that has moved is looked for again, once in a cool-down, and found without a restart", async () => {
  const endpoint = await use(startTokenEndpoint());
  const gone = await use(startHttpServer(notFound));
  let tokenEndpoint = `${gone.url}/token`;
  let asked = 0;
  const server: HttpServer = await use(
    startHttpServer((_, response) => {
      asked += 1;
      return sendJson(response, 200, { issuer: server.url, token_endpoint: tokenEndpoint });
    }),
  );
  let now = 0;
  const provider = providerOf({ issuer: server.url }, { clock: { ...systemClock(), monotonicMs: () => now } });
  const refreshToken = endpoint.tokens.login().refresh_token;
  for (let times = 0; times < 3; times++)
    expect(await present(provider, refreshToken)).toMatchObject({ why: "http_404" });
  expect(asked).toBe(2);
  tokenEndpoint = endpoint.url;
  now += 30_000;
  expect(await present(provider, refreshToken)).toMatchObject({ why: "http_404" });
  expect((await present(provider, refreshToken)).kind).toBe("tokens");
  expect(asked).toBe(3);
});

test("metadata that cannot be had again leave the endpoints as they were known", async () => {
  const answers = [404, 200];
  const endpoint = await use(startTokenEndpoint());
  const gate = await use(
    startHttpServer((_, response) => sendJson(response, answers.shift() ?? 200, endpoint.tokens.login())),
  );
  let isDown = false;
  const server: HttpServer = await use(
    startHttpServer((_, response) =>
      isDown
        ? sendJson(response, 500, {})
        : sendJson(response, 200, { issuer: server.url, token_endpoint: `${gate.url}/token` }),
    ),
  );
  const provider = providerOf({ issuer: server.url });
  expect(await present(provider)).toMatchObject({ why: "http_404" });
  isDown = true;
  expect((await present(provider)).kind).toBe("tokens");
});

test("takes an ID token of any tenant from Entra's issuer for many, whose metadata hold a template; asked for once", async () => {
  const entra = "https://login.microsoftonline.com";
  const asked: string[] = [];
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64url");
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: `${entra}/contoso/v2.0`,
    tid: "contoso",
    aud: "gateway",
    sub: "alice",
    iat: now,
    exp: now + 60,
  };
  const answers: Readonly<Record<string, object>> = {
    "/common/v2.0/.well-known/openid-configuration": {
      issuer: `${entra}/{tenantid}/v2.0`,
      token_endpoint: `${entra}/common/oauth2/v2.0/token`,
    },
    "/common/oauth2/v2.0/token": {
      access_token: "access-1",
      token_type: "Bearer",
      id_token: `${part({ alg: "RS256" })}.${part(claims)}.${part({})}`,
    },
  };
  const fetch: HttpFetch = async (url) => {
    asked.push(new URL(url).pathname);
    const fields = { "content-type": "application/json" };
    return httpAnswer({ status: 200, fields, text: JSON.stringify(answers[asked.at(-1) ?? ""]) });
  };
  const provider = providerOf({ issuer: `${entra}/common/v2.0`, allowInsecure: false }, { fetch });
  for (const _ of [1, 2]) {
    const outcome = await present(provider);
    expect([outcome.kind, outcome.kind === "tokens" ? await outcome.checks : ""]).toEqual(["tokens", undefined]);
  }
  expect(asked.filter((path) => path.includes(".well-known"))).toHaveLength(1);
});
