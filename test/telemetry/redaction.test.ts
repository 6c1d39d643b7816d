import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { runHere, type Serve, startServe, temporaryDirectory } from "../commands/cli-process.ts";
import { openClient } from "../stores/redis-harness.ts";
import { type HttpRequestOptions, httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { createLeakSearch } from "./leaks.ts";

const opened = resources();
const { use } = opened;
const random = (name: string) => `${name}~${randomBytes(18).toString("hex")}`;

/**
 * `serve` at level trace with every kind of secret there is, and everything that it, its clients and its administrators
 * get to read.
 */
async function start() {
  const leaks = createLeakSearch();
  const endpoint = await use(startTokenEndpoint());
  const issuer = await use(startJwtIssuer());
  const collector = await use(startOtlpCollector());
  const env = {
    CLIENT_SECRET: leaks.secret("client secret", random("client")),
    REDIS_PASSWORD: leaks.secret("Redis password", random("redis")),
    ADMIN_TOKEN: leaks.secret("admin token", random("admin")),
    SEALING_KEY: leaks.secret("sealing key", newSealingKey()),
    COLLECTOR_KEY: leaks.secret("collector's key", random("collector")),
  };
  const redis = await use(startRedis({ password: env.REDIS_PASSWORD }));
  const dir = await temporaryDirectory(opened);
  writeFileSync(join(dir, "admin-token"), env.ADMIN_TOKEN);
  writeFileSync(join(dir, "wrong-token"), leaks.secret("wrong admin token", random("wrong")));
  const upstream = {
    issuer: endpoint.issuer,
    tokenEndpoint: endpoint.url,
    clientId: "gateway",
    clientSecret: "${env:CLIENT_SECRET}",
  };
  const serve = await startServe(
    opened,
    {
      listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0", adminToken: "${env:ADMIN_TOKEN}" },
      sessions: [
        { jwt: { issuer: issuer.issuer, audience: "gateway", claim: "sid", subject: "sub" } },
        { opaque: { from: { cookie: "session" } } },
        { metadata: { namespace: "ns", path: ["sid"] } },
      ],
      store: {
        redis: { url: `redis://:\${env:REDIS_PASSWORD}@127.0.0.1:${redis.port}`, commandTimeout: "1s" },
        encryption: { keys: [{ id: "k1", key: "${env:SEALING_KEY}" }], allowPlain: true },
      },
      upstreams: { crm: upstream, wiki: { ...upstream, clientAuth: "client_secret_post" } },
      log: { level: "trace", format: "json" },
      telemetry: { otlp: { endpoint: collector.url, headers: { "x-key": "${env:COLLECTOR_KEY}" } } },
    },
    env,
  );
  const client = await use(createExtAuthzClient(serve.grpc));
  return { leaks, endpoint, issuer, env, redis, dir, serve, client, collector };
}

test("nothing that is printed or answered holds a token, a secret, a cookie or a credential, at level trace", async () => {
  const { leaks, endpoint, issuer, redis, env, dir, serve, client, collector } = await start();

  async function grants(verb: string, args: readonly string[], stdin = "", tokenFile = "admin-token") {
    const answer = await runHere(
      ["grants", verb, "--admin", serve.admin, "--admin-token-file", join(dir, tokenFile), ...args],
      { stdin },
    );
    leaks.printed(`the output of grants ${verb}`, answer.stdout + answer.stderr);
    return answer;
  }
  /** An answer that lets a request through holds the token: that is its purpose. All others are searched. */
  async function check(options: HttpRequestOptions, upstream = "crm") {
    const answer = answerOf(await client.check(httpRequest({ contextExtensions: { upstream }, ...options })));
    if (answer.status !== 200) leaks.printed(`the ${answer.status} answer`, JSON.stringify(answer));
    return answer.status;
  }
  const login = (name: string, life: object = {}) => {
    const token = {
      access_token: leaks.secret(`${name} access token`, random("access")),
      refresh_token: leaks.secret(`${name} refresh token`, random("refresh")),
    };
    return JSON.stringify({
      ...token,
      token_type: "Bearer",
      id_token: leaks.secret(`${name} ID token`, random("id")),
      ...life,
    });
  };
  const cookie = leaks.secret("session cookie", randomBytes(32).toString("hex"));
  const theme = leaks.secret("another cookie", random("theme"));
  const jwt = leaks.secret("session JWT", await issuer.sign({ aud: "gateway", sid: "s1", sub: "alice" }));
  const expired = leaks.secret("expired JWT", await issuer.sign({ aud: "gateway", sid: "s1" }, { expiresIn: -300 }));
  const forged = leaks.secret("forged JWT", await issuer.sign({ aud: "gateway", sid: "s1" }, { forged: true }));
  const basic = leaks.secret("Basic credential", Buffer.from(random("user")).toString("base64"));
  const withCookie = { headers: { cookie: `theme=${theme}; session=${cookie}` } };
  const withJwt = { headers: { authorization: `Bearer ${jwt}` } };
  const session = ["--source", "opaque", "--session", cookie, "--upstream", "crm"];

  // Logins, good and bad.
  await until("the store's first answer", async () => (await client.health("bearerswap.store")) === "SERVING");
  expect((await grants("put", session, login("first", { expires_in: 3600 }))).code).toBe(0);
  expect((await grants("put", session, login("stolen"), "wrong-token")).code).toBe(1);
  expect(
    (await grants("put", session, `{"refresh_token": "${leaks.secret("garbled token", random("garbled"))}`)).code,
  ).toBe(1);
  expect((await grants("put", [...session.slice(0, 4), "--upstream", "crn"], login("misplaced"))).code).toBe(1);
  await grants("get", session);
  await grants("list", session.slice(0, 4));

  // Verdicts of every kind.
  expect([await check(withCookie), await check(withCookie, "wiki"), await check({}), await check(withJwt)]).toEqual([
    200, 401, 401, 401,
  ]);
  for (const credential of [
    `Bearer ${expired}`,
    `Bearer ${forged}`,
    `Bearer ${basic}`,
    `Basic ${basic}`,
    `Bearer ${jwt},Bearer ${expired}`,
  ])
    expect(await check({ headers: { authorization: credential } })).toBe(401);
  expect(
    await check({
      ...withCookie,
      path: `/..%2f?access_token=${leaks.secret("token in the query", random("query"))}`,
      contextExtensions: {},
    }),
  ).toBe(403);
  expect(await check(withCookie, "nobody")).toBe(403);
  expect(await check({ metadata: { ns: { sid: 5, note: leaks.secret("metadata", random("metadata")) } } })).toBe(401);
  expect(
    (
      await grants(
        "put",
        ["--source", "jwt", "--session", "s1", "--subject", "bob", "--upstream", "crm"],
        login("somebody else's", { expires_in: 3600 }),
      )
    ).code,
  ).toBe(0);
  expect(await check(withJwt)).toBe(403);
  const cut = client.encode(httpRequest(withCookie)).subarray(0, -9);
  leaks.printed("the 400 answer", JSON.stringify(await client.checkRaw(cut)));

  // Refreshes, with everything that a provider may answer. Each answer quotes what it was sent.
  const failures: [status: number, body: (quote: string) => object | string][] = [
    [500, (quote) => `<html>${quote}</html>`],
    [200, (quote) => `access_token=${quote}`],
    [200, (quote) => ({ error_description: quote })],
    [400, (quote) => ({ error: "invalid_request", error_description: quote })],
    [401, (quote) => ({ error: "invalid_client", error_description: quote })],
    [429, (quote) => ({ error: "slow_down", error_description: quote, error_uri: `https://x.example/?${quote}` })],
    [400, (quote) => ({ error: "invalid_grant", error_description: quote })],
  ];
  for (const [at, [status, body]] of failures.entries()) {
    await grants("put", session, login(`refresh ${at}`, { expires_in: 0 }));
    endpoint.respondNext(({ form, headers }) => ({
      status,
      body: body(`${form.refresh_token} ${headers.authorization} ${env.CLIENT_SECRET}`),
    }));
    expect(await check(withCookie)).toBe(at === failures.length - 1 ? 401 : 503);
  }
  await grants("put", session, login("cut", { expires_in: 0 }));
  endpoint.closeAfterReading({ rotate: false });
  expect(await check(withCookie)).toBe(503);

  // Tokens in a response that does not conform.
  await grants("put", session, login("nonconforming", { expires_in: 0 }));
  const fresh = {
    access_token: leaks.secret("new access token", random("access")),
    refresh_token: leaks.secret("new refresh token", random("refresh")),
  };
  endpoint.respondNext({
    body: { ...fresh, token_type: "Bearer", id_token: leaks.secret("new ID token", `${jwt}x`), expires_in: 3600 },
  });
  expect(await check(withCookie)).toBe(200);
  await until("a word about it", () => serve.lines().some((line) => line.event === "token_response"));

  // A store that has gone bad, then gone away.
  const raw = await openClient(opened, redis.url);
  await grants("put", [...session.slice(0, 4), "--upstream", "wiki"], login("corrupt"));
  for (const key of await raw.keys("*:grant:wiki"))
    await raw.hset(key, "grant", `{"refreshToken": "${leaks.secret("corrupt value", random("corrupt"))}"`);
  expect(await check(withCookie, "wiki")).toBe(503);
  await grants("list", session.slice(0, 4));
  await redis.kill("SIGKILL");
  await until("the loss to be noticed", async () => (await client.health("bearerswap.store")) === "NOT_SERVING");
  expect(await check(withCookie, "wiki")).toBe(503);
  expect((await grants("put", session, login("unstored"))).code).toBe(1);

  serve.child.signal("SIGTERM");
  expect((await serve.child.exited).code).toBe(0);
  leaks.printed("the log", serve.child.output());
  leaks.printed("the traces", collector.raw());
  expect(new Set(collector.spans().map(({ name }) => name)).size).toBeGreaterThan(5);
  expect(eventsOf(serve)).toEqual(
    expect.arrayContaining([
      "listening",
      "grant_put",
      "denied",
      "refresh",
      "flight_failed",
      "token_response",
      "store_down",
      "admin_failed",
      "stopped",
    ]),
  );
  leaks.expectNone();
});

function eventsOf(serve: Serve): string[] {
  return [...new Set(serve.lines().map(({ event }) => String(event)))];
}
