import { expect, test } from "vitest";
import { connectUrlOf, startWorld } from "../connect/harness.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { type Answer, bearer, sessionId, startScenario } from "../support/scenario.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;

/** What was answered, and after how many ms. */
async function timed<T>(work: () => Promise<T>): Promise<T & { readonly afterMs: number }> {
  const startedAt = performance.now();
  return { ...(await work()), afterMs: performance.now() - startedAt };
}

/** Sessions of an issuer that takes connections and never answers; the keys' place is stated or discovered. */
async function silentIssuer(deadline: string, stated: boolean) {
  const silent = await use(startHttpServer(() => new Promise(() => {})));
  const signer = await use(startJwtIssuer());
  const jwks = stated ? { jwks: `${silent.url}/jwks` } : {};
  const sessions = [{ jwt: { issuer: silent.url, audience: "gateway", claim: "sid", ...jwks } }];
  const scenario = await startScenario(opened, {
    config: { sessions, check: { deadline }, refresh: { timeout: "200ms" } },
  });
  const jwt = () => signer.sign({ iss: silent.url, aud: "gateway", sid: "session-1" });
  return {
    ...scenario,
    ask: async (deadlineMs?: number) => timed<Answer>(async () => scenario.check(bearer(await jwt()), deadlineMs)),
  };
}

test.each([
  ["key server", true],
  ["metadata server", false],
])("a %s that accepts and stays silent holds no check longer than check.deadline", async (_, stated) => {
  const { ask, service } = await silentIssuer("600ms", stated);
  for (const answer of await Promise.all([ask(), ask(), ask()])) {
    expect(answer).toMatchObject({
      status: 503,
      body: { reason: "unavailable", upstream: "crm" },
      headers: { "retry-after": "1" },
    });
    expect(answer.afterMs).toBeLessThan(900);
  }
  expect(service.events("denied").map(({ why }) => why)).toEqual(
    Array(3).fill("deadline: the session could not be verified in time"),
  );
});

test("nor longer than the caller's own timeout where that is shorter: it gets a verdict, no gRPC error", async () => {
  const { ask } = await silentIssuer("9s", true);
  expect(await ask(400)).toMatchObject({ status: 503, body: { reason: "unavailable" } });
});

test("a store that stands still holds no check of an issued session longer than its deadline", async () => {
  const redis = await use(startRedis());
  const config = {
    store: { redis: { url: redis.url, commandTimeout: "10s" } },
    sessions: [{ cookie: { issue: true } }],
    connect: { publicUrl: "https://gateway.example.com" },
    check: { deadline: "500ms" },
    refresh: { timeout: "200ms" },
  };
  const login = { issuer: "https://idp.example.com", connect: { scope: "read" }, tokenEndpoint: undefined };
  const scenario = await startScenario(opened, { config, upstream: login });
  const cookie = { headers: { cookie: `__Host-bearerswap=${"x".repeat(44)}` } };
  expect((await scenario.check(cookie)).body).toMatchObject({ reason: "session_missing" });
  await redis.pause();
  const answers = await Promise.all([timed(() => scenario.check(cookie)), timed(() => scenario.check(cookie, 300))]);
  await redis.resume();
  expect(answers.map(({ status }) => status)).toEqual([503, 503]);
  expect(Math.max(...answers.map(({ afterMs }) => afterMs))).toBeLessThan(800);
});

test("a denial whose link to connect cannot be stored in time is given without one, before the deadline", async () => {
  const redis = await use(startRedis());
  const proxy = await use(startTcpProxy(redis));
  const store = { redis: { url: `redis://${proxy.host}:${proxy.port}`, commandTimeout: "10s" } };
  const world = await startWorld(opened, {
    config: { store, check: { deadline: "700ms" }, refresh: { timeout: "200ms" } },
  });
  const call = async (session: string) => world.call(await world.bearer(session));
  expect(connectUrlOf(await call("session-1"))).toContain("ticket=");
  // The links' connection, told by its last command; grants are read over another.
  const clients = String(await redisCommand(redis, "CLIENT", "LIST")).split("\n");
  const port = Number(/ addr=\S+:(\d+) /.exec(clients.find((line) => line.includes(" cmd=set ")) ?? "")?.[1]);
  expect(proxy.freeze([port])).toBe(1);
  const headers = await world.bearer("session-2");
  const { status, body, afterMs } = await timed(() => world.call(headers));
  expect([status, JSON.parse(body)]).toMatchObject([401, { reason: "grant_missing" }]);
  expect(connectUrlOf({ body } as never)).toBeUndefined();
  expect(afterMs).toBeLessThan(1_000);
  expect(world.service.events("connect_failed")).toMatchObject([{ reason: "deadline", upstream: "crm" }]);
  proxy.cut();
});

test("a session that is known and a token that is cached are served whatever stands still", async () => {
  const { login, check, provider } = await startScenario(opened, {
    config: { check: { deadline: "500ms" }, refresh: { timeout: "200ms" } },
  });
  await login();
  expect((await check(bearer())).status).toBe(200);
  const gate = provider.hold();
  // No time at all is left to this caller.
  expect((await check(bearer(sessionId), 40)).status).toBe(200);
  gate.release();
});

/** The provider reads one refresh and stays silent; the session that asked has had its 503. */
async function hungOnce(upstream: object) {
  const config = { refresh: { timeout: "300ms" }, check: { deadline: "5s" }, shutdown: { timeout: "200ms" } };
  const scenario = await startScenario(opened, { config, upstream, provider: { rotates: false } });
  await scenario.login();
  scenario.clock.shift(3_600_000);
  scenario.provider.hang();
  expect(await scenario.check(bearer())).toMatchObject({ status: 503, body: { reason: "unavailable" } });
  return scenario;
}

test("a call that hangs at a provider that never rotates is given up: the next request is answered while it still hangs", async () => {
  const { check, provider, clock } = await hungOnce({ rotates: "never" });
  clock.shift(1_100);
  const answer = await until("a token", async () => {
    const { status, headers } = await check(bearer());
    return status === 200 && headers;
  });
  expect([answer, provider.calls]).toMatchObject([{ authorization: "Bearer access-2" }, 2]);
});

test("where nothing is known of rotation, it keeps the token from being presented a second time", async () => {
  const { check, provider, service } = await hungOnce({});
  expect(await check(bearer())).toMatchObject({ status: 503, body: { reason: "unavailable" } });
  expect([provider.calls, service.events("denied").map(({ why }) => why)]).toEqual([
    1,
    ["refresh_timeout", "refresh_timeout"],
  ]);
});
