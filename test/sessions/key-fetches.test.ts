import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { createLog } from "../../src/platform/log.ts";
import { createKeySet } from "../../src/sessions/key-set.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { type HttpHandler, sendJson, startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const opened = resources();
const { use } = opened;
const claims = { aud: "gateway", sid: "session-1" };

/** Sessions of an issuer that answers as told; without `jwks` its metadata are asked for the place of the keys. */
async function issuerThat(handler: HttpHandler, jwks: boolean, more: object = {}) {
  const asked: string[] = [];
  const signer = await use(startJwtIssuer());
  const server = await use(
    startHttpServer((request, response) => {
      asked.push(request.url ?? "");
      return handler(request, response);
    }),
  );
  const stated = jwks ? { jwks: `${server.url}/jwks` } : {};
  const scenario = await startScenario(opened, {
    config: { sessions: [{ jwt: { issuer: server.url, audience: "gateway", claim: "sid", ...stated, ...more } }] },
  });
  const ask = async () => scenario.check(bearer(await signer.sign({ ...claims, iss: server.url })));
  const why = () => scenario.service.events("denied").at(-1)?.why;
  return { ...scenario, ask, why, asked, url: server.url, signer };
}

const unusable: [string, HttpHandler][] = [
  ["404", (_, response) => sendJson(response, 404, {})],
  ["a redirect", (_, response) => response.writeHead(302, { location: "/elsewhere" }).end()],
  ["a web page", (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>")],
  ["JSON that is no key set", (_, response) => sendJson(response, 200, { error: "none" })],
];

test.each(
  unusable.flatMap(([what, handler]) =>
    [true, false].map((jwks) => [what, jwks ? "keys" : "metadata", handler, jwks] as const),
  ),
)(
  "an issuer that answers %s for its %s is asked once in a cool-down, which is logged once, however many tokens come",
  async (_, __, handler, jwks) => {
    const { ask, asked, clock, service } = await issuerThat(handler, jwks);
    for (let round = 0; round < 3; round++)
      expect((await Promise.all([ask(), ask(), ask(), ask()])).map(({ status }) => status)).toEqual([
        503, 503, 503, 503,
      ]);
    const once = jwks ? 1 : 2; // metadata have two places
    expect([asked.length, service.events("jwks_fetch").length]).toEqual([once, 1]);
    clock.shift(4_000);
    await ask();
    expect([asked.length, service.events("jwks_fetch").length]).toEqual([2 * once, 2]);
  },
);

test("a key set longer than any that an issuer has is not read to its end", async () => {
  const { ask, why, signer } = await issuerThat(async (_, response) => {
    const { keys } = (await (await fetch(signer.jwksUrl)).json()) as { keys: object[] };
    sendJson(response, 200, { padding: "x".repeat(2_000_000), keys });
  }, true);
  expect((await ask()).status).toBe(503);
  expect(why()).toMatch(/^keys: .*the answer is longer than 1048576 bytes/);
});

test("an issuer with RFC 8414 metadata only works for sessions too", async () => {
  const { asked, ask, signer, url } = await issuerThat((request, response) => {
    if (request.url !== "/.well-known/oauth-authorization-server") return sendJson(response, 404, {});
    return sendJson(response, 200, { issuer: url, jwks_uri: signer.jwksUrl });
  }, false);
  expect((await ask()).body).toMatchObject({ reason: "grant_missing" });
  expect(asked).toEqual(["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]);
});

test("keys are not fetched over plain http because metadata say so, and the log says what is wrong", async () => {
  const { ask, why, url } = await issuerThat(
    (_, response) => sendJson(response, 200, { issuer: url, jwks_uri: "http://keys.example.com/jwks" }),
    false,
  );
  expect((await ask()).status).toBe(503);
  expect(why()).toBe(
    "keys: the issuer's jwks_uri http://keys.example.com/jwks is not https: set allowInsecure to use it all the same",
  );
});

test("the log names both issuers where metadata are another's, and the status and address where they are none", async () => {
  const other = await issuerThat(
    (_, response) =>
      sendJson(response, 200, { issuer: "https://other.example.com", jwks_uri: "https://other.example.com/jwks" }),
    false,
  );
  await other.ask();
  expect(other.why()).toMatch(new RegExp(`expected "${other.url}/?", got "https://other.example.com"$`));
  const none = await issuerThat((_, response) => sendJson(response, 404, {}), false);
  await none.ask();
  expect(none.why()).toContain(`HTTP 404 from ${none.url}/.well-known/openid-configuration`);
});

const goneKeys: [string, () => Promise<string>][] = [
  ["410", async () => (await use(startHttpServer((_, response) => sendJson(response, 410, {})))).url],
  [
    "a certificate that does not verify",
    async () => (await use(startJwtIssuer({ tls: await (await use(createCertificateAuthority())).server() }))).issuer,
  ],
  ["a name that is gone", async () => "https://moved-away.invalid"],
  ["no server any more", async () => `http://127.0.0.1:${await freePort()}`],
];

test.each(goneKeys)("keys behind an address with %s are looked for again without a restart", async (_, where) => {
  let place = `${await where()}/jwks`;
  const { ask, asked, clock, signer, url } = await issuerThat(
    (_, response) => sendJson(response, 200, { issuer: url, jwks_uri: place }),
    false,
  );
  expect((await ask()).status).toBe(503);
  place = signer.jwksUrl;
  expect([(await ask()).status, asked.length]).toEqual([503, 2]);
  clock.shift(4_000);
  expect((await ask()).body).toMatchObject({ reason: "grant_missing" });
  expect(asked).toHaveLength(3);
});

test("keys that have moved are found again without a restart; those that are known stay in use meanwhile", async () => {
  let place = "/old";
  const scenario = await issuerThat(
    (request, response) => {
      if (request.url === "/.well-known/openid-configuration")
        return sendJson(response, 200, { issuer: scenario.url, jwks_uri: `${scenario.url}${place}` });
      return request.url === place && place !== "/nowhere"
        ? response.writeHead(200).end(JSON.stringify(keys))
        : sendJson(response, 404, {});
    },
    false,
    { jwksCooldown: "1ms" },
  );
  const { signer, ask, asked } = scenario;
  let keys = await (await fetch(signer.jwksUrl)).json();
  expect((await ask()).body).toMatchObject({ reason: "grant_missing" });

  place = "/new";
  await signer.rotate();
  const last = bearer(
    await signer.sign({ ...claims, iss: scenario.url, jti: "the last that is signed with a key that will be known" }),
  );
  keys = await (await fetch(signer.jwksUrl)).json();
  expect((await ask()).body).toMatchObject({ reason: "grant_missing" });
  expect(asked.filter((path) => path !== "/old")).toEqual([
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration",
    "/new",
  ]);

  place = "/nowhere";
  await signer.rotate();
  expect((await ask()).status).toBe(503);
  expect((await scenario.check(last)).body).toMatchObject({ reason: "grant_missing" });
});

test("the log says of keys that are away what is wrong, once, also where they were not asked for again", async () => {
  const { ask, why, url } = await issuerThat((_, response) => sendJson(response, 503, {}), false);
  const problem = `HTTP 503 from ${url}/.well-known/openid-configuration`;
  await ask();
  expect(why()).toBe(`keys: ${problem}`);
  await ask();
  expect(why()).toBe(`keys: fetched too recently to ask again: ${problem}`);
});

test("a cool-down that ends while a token waits for it is no longer by that", async () => {
  const { asked, signer, url } = await issuerThat((_, response) => sendJson(response, 503, {}), false);
  let now = 0;
  const clock = { ...systemClock(), monotonicMs: () => ++now };
  const log = createLog({ level: "silent", format: "json" });
  const config = { issuer: url, cooldownMs: 30_000, allowInsecure: false };
  const keys = createKeySet({ config, clock, log, fetch: createFetchFor({})(undefined), onFetched: () => {} });
  const token = await signer.sign({ ...claims, iss: url });
  await keys.verify(token, {});
  now += 2_998; // the next reading is within the three seconds, and the one after it is not
  expect(await keys.verify(token, {})).toMatchObject({ why: expect.stringContaining("too recently") });
  expect(asked).toHaveLength(1);
  const why = `keys: HTTP 503 from ${url}/.well-known/openid-configuration`;
  expect([await keys.verify(token, {}), asked.length]).toMatchObject([{ why }, 2]);
});
