import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { Gauge } from "prom-client";
import { expect, test } from "vitest";
import { createProbeServer } from "../../src/server/probe-server.ts";
import { createMetrics } from "../../src/telemetry/prometheus.ts";
import { get } from "../support/http-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";
import { until } from "../support/until.ts";
import { createLeakSearch } from "./leaks.ts";

const opened = resources();
const { use } = opened;

test("after some checks a scrape shows each by upstream and reason, once, and what the caches hold", async () => {
  const scenario = await startScenario(opened, { config: { routes: [{ pathPrefix: "/public", passthrough: true }] } });
  await scenario.login();
  await scenario.login({ id: "b3RoZXItc2Vzc2lvbi0wMDAx" });
  for (let check = 0; check < 3; check += 1) expect((await scenario.check(bearer())).status).toBe(200);
  expect((await scenario.check(bearer("b3RoZXItc2Vzc2lvbi0wMDAx"))).status).toBe(200);
  expect((await scenario.check({})).status).toBe(401);
  expect((await scenario.check(bearer("short"))).status).toBe(401);
  expect((await scenario.check(bearer("bm8tZ3JhbnQtZm9yLXRoaXMtb25l"))).status).toBe(401);
  expect((await scenario.check({ contextExtensions: { upstream: "unknown-upstream" } })).status).toBe(403);
  expect((await scenario.check({ contextExtensions: {}, path: "/public/x" })).status).toBe(200);
  expect((await scenario.check({ contextExtensions: {}, path: "/a//b" })).status).toBe(400);

  const { value, body } = await scrape(scenario.service.listening);
  const checks = (upstream: string, reason: string) => value("bearerswap_checks_total", { upstream, reason });
  expect(
    [
      "allowed",
      "session_missing",
      "session_invalid",
      "grant_missing",
      "grant_refused",
      "subject_mismatch",
      "unavailable",
    ].map((reason) => checks("crm", reason)),
  ).toEqual([4, 1, 1, 1, 0, 0, 0]);
  expect(["passthrough", "no_upstream", "bad_request", "unavailable"].map((reason) => checks("", reason))).toEqual([
    1, 1, 1, 0,
  ]);
  expect(value("bearerswap_check_duration_seconds_count", { upstream: "crm" })).toBe(7);
  expect(value("bearerswap_check_duration_seconds_count", { upstream: "" })).toBe(3);
  expect(value("bearerswap_token_cache_entries", { upstream: "crm" })).toBe(2);
  expect(value("bearerswap_admin_calls_total", { method: "put", code: "OK" })).toBe(2);
  expect(value("bearerswap_store_up")).toBe(1);
  expect(value("process_resident_memory_bytes")).toBeGreaterThan(0);
  expect(body).not.toContain("unknown-upstream");
});

test("tells requests to the issuer that were answered from those that were not", async () => {
  const issuer = await use(startJwtIssuer());
  const jwt = { issuer: issuer.issuer, audience: "gateway", claim: "sid" };
  const scenario = await startScenario(opened, { config: { sessions: [{ name: "agents", jwt }] } });
  const fetches = async () => {
    const { value } = await scrape(scenario.service.listening);
    return ["ok", "failed"].map((result) => value("bearerswap_jwks_fetches_total", { source: "agents", result }));
  };
  const check = async () =>
    scenario.check(bearer(await issuer.sign({ aud: "gateway", sid: randomBytes(8).toString("hex") })));
  issuer.down();
  expect((await check()).status).toBe(503);
  expect(await fetches()).toEqual([0, 1]);
  issuer.up();
  scenario.clock.shift(60_000);
  expect((await check()).status).toBe(401);
  expect(await fetches()).toEqual([2, 1]);
});

test("shows the store's outage while it lasts", async () => {
  const redis = await use(startRedis());
  const config = { store: { redis: { url: `redis://127.0.0.1:${redis.port}`, commandTimeout: "500ms" } } };
  const { service } = await startScenario(opened, { config });
  const up = async () => (await scrape(service.listening)).value("bearerswap_store_up");
  await until("the store", async () => (await up()) === 1);
  await redis.kill("SIGKILL");
  await until("the loss to be noticed", async () => (await up()) === 0);
});

test("is answered while the service drains", async () => {
  const scenario = await startScenario(opened);
  const { service, provider } = scenario;
  await scenario.login({ token: { accessToken: "" } });
  const gate = provider.hold();
  const pending = scenario.check(bearer());
  await gate.arrived();
  const stopped = service.stop();
  expect(
    (await scrape(service.listening)).value("bearerswap_checks_total", { upstream: "crm", reason: "allowed" }),
  ).toBe(0);
  gate.release();
  expect((await pending).status).toBe(200);
  await stopped;
});

test("holds no session, token, header or path of a client", async () => {
  const leaks = createLeakSearch();
  const secret = (name: string) => leaks.secret(name, `${name.replaceAll(" ", "")}${randomBytes(18).toString("hex")}`);
  const scenario = await startScenario(opened, {
    config: { routes: [{ host: "crm.example.com", pathPrefix: "/", upstream: "crm" }] },
  });
  const session = secret("session");
  const { accessToken, refreshToken } = await scenario.login({ id: session, token: { accessToken: "" } });
  leaks.secret("first access token", accessToken);
  leaks.secret("refresh token", refreshToken);
  const odd = { path: `/${secret("path")}?q=${secret("query")}`, method: secret("method"), host: secret("host") };
  const allowed = await scenario.check({ ...bearer(session), ...odd });
  expect(allowed.status).toBe(200);
  leaks.secret("served token", allowed.headers.authorization ?? "");
  await scenario.check({
    ...odd,
    contextExtensions: {},
    headers: { [secret("header")]: secret("value"), cookie: secret("cookie") },
  });
  await scenario.check({
    ...odd,
    contextExtensions: { upstream: secret("upstream") },
    ...bearer(secret("credential")),
  });
  await scenario.check(bearer(secret("unknown session")));
  await scenario.admin.get({ session: { source: "", id: secret("admin session") }, upstream: "crm" }).catch(() => {});
  await scenario.admin
    .get({ session: { source: "", id: session }, upstream: secret("admin upstream") })
    .catch(() => {});
  leaks.printed("the scrape", (await scrape(scenario.service.listening)).body);
  leaks.expectNone();
});

test("is made once for all who ask at the same time, however many requests one connection sends in a packet", async () => {
  const { registry, scrape: shared } = createMetrics({
    version: "1",
    upstreamNames: [],
    issuerNames: [],
    ofProcess: false,
  });
  let made = 0;
  new Gauge({ name: "made", help: "Times that a text was made.", registers: [registry], collect: () => void made++ });
  const server = createProbeServer({
    logout: () => undefined,
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    readiness: { reason: () => undefined },
    scrape: shared,
  });
  const place = await server.listen();
  opened.onStop(server.close);
  const port = place.kind === "tcp" ? place.port : 0;
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `${"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100)}GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
  );
  const answers = (await buffer(socket)).toString("latin1").match(/^HTTP\/1\.1 \d+/gm);
  expect(answers).toEqual(Array(101).fill("HTTP/1.1 200"));
  expect(made).toBeLessThan(10);
  const before = made;
  await get(port, "/metrics");
  expect(made).toBe(before + 1);
});
