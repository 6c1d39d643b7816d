import { request } from "node:http";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { createProbeServer } from "../../src/server/probe-server.ts";
import { watchHealth } from "../admin/health-watch.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;

/** For servers that are not asked for metrics. */
const noScrape = { contentType: "text/plain", text: async () => "" };

/** A GET, or another method, to the probe server. */
function probesOf({ service }: Scenario) {
  const place = service.listening.http;
  const base = place?.kind === "tcp" ? `http://${place.host}:${place.port}` : "";
  return async (path: string, method = "GET") => {
    const response = await fetch(`${base}${path}`, { method });
    return { status: response.status, headers: response.headers, body: method === "HEAD" ? "" : await response.json() };
  };
}

const redisAt = (port: number) => ({
  config: { store: { redis: { url: `redis://127.0.0.1:${port}`, commandTimeout: "500ms" } } },
});

describe("/readyz", () => {
  test("is 503 until the store has answered, with the reason; /livez is 200 all along", async () => {
    const port = await freePort();
    const scenario = await startScenario(opened, redisAt(port));
    const probe = probesOf(scenario);
    expect(await probe("/readyz")).toMatchObject({
      status: 503,
      body: { status: "not ready", reason: "the store has not answered yet" },
    });
    expect(await probe("/livez")).toMatchObject({ status: 200, body: { status: "ok" } });
    for (const name of ["", "envoy.service.auth.v3.Authorization", "bearerswap.store"])
      expect(await scenario.client.health(name)).toBe("NOT_SERVING");
    expect(await scenario.check(bearer())).toMatchObject({ status: 503, body: { reason: "unavailable" } });

    await use(startRedis({ port }));
    await until("readiness", async () => (await probe("/readyz")).status === 200);
    for (const name of ["", "envoy.service.auth.v3.Authorization", "bearerswap.store"])
      expect(await scenario.client.health(name)).toBe("SERVING");
  });

  test("stays 200 over a hiccup of the store, which has a health of its own: no outage of all replicas at once", async () => {
    const redis = await use(startRedis());
    const scenario = await startScenario(opened, redisAt(redis.port));
    const { client, service } = scenario;
    const probe = probesOf(scenario);
    await until("readiness", async () => (await probe("/readyz")).status === 200);
    await scenario.login();
    expect((await scenario.check(bearer())).status).toBe(200);

    await redis.kill("SIGKILL");
    await until("the loss to be noticed", async () => (await client.health("bearerswap.store")) === "NOT_SERVING");
    expect([
      (await probe("/readyz")).status,
      await client.health(),
      await client.health("envoy.service.auth.v3.Authorization"),
    ]).toEqual([200, "SERVING", "SERVING"]);
    expect((await scenario.check(bearer())).status).toBe(200);
    expect(service.events("store_down")).toHaveLength(1);

    await use(startRedis({ port: redis.port }));
    await until("the return to be noticed", async () => (await client.health("bearerswap.store")) === "SERVING");
    expect(service.events("store_up")).toHaveLength(2);
  });

  test("is 503 from the first moment of the end, and health watchers are told, while calls under way finish", async () => {
    const scenario = await startScenario(opened);
    const { service, provider } = scenario;
    const probe = probesOf(scenario);
    await scenario.login({ token: { accessToken: "" } });
    const watch = await use(watchHealth(service.grpc));
    await until("the first status", () => watch.statuses.length === 1);
    const gate = provider.hold();
    const pending = scenario.check(bearer());
    await gate.arrived();
    const stopped = service.stop();
    expect(await probe("/readyz")).toMatchObject({ status: 503, body: { reason: "draining" } });
    expect((await probe("/livez")).status).toBe(200);
    await until("the news", () => watch.statuses.length === 2);
    expect(watch.statuses).toEqual(["SERVING", "NOT_SERVING"]);
    watch.close();
    gate.release();
    expect((await pending).status).toBe(200);
    await stopped;
    await expect(probe("/livez")).rejects.toThrow();
  });
});

describe("the probe server", () => {
  test("answers HEAD and queries, and tells strangers what it has", async () => {
    const probe = probesOf(await startScenario(opened));
    expect(await probe("/livez?verbose=1", "HEAD")).toMatchObject({ status: 200 });
    expect(await probe("/readyz?x=1")).toMatchObject({ status: 200 });
    expect(await probe("/secrets")).toMatchObject({
      status: 404,
      body: { error: "here are /livez, /readyz and /metrics" },
    });
    expect(await probe("/livez", "POST")).toMatchObject({ status: 405 });
    const { headers } = await probe("/livez");
    expect([headers.get("content-type"), headers.get("cache-control")]).toEqual(["application/json", "no-store"]);
  });

  test("answers /metrics as Prometheus wants it, to GET and HEAD alone", async () => {
    const { service } = await startScenario(opened);
    const place = service.listening.http;
    const url = place?.kind === "tcp" ? `http://${place.host}:${place.port}/metrics?x=1` : "";
    const ask = async (method: string) => {
      const answer = await fetch(url, { method });
      return {
        status: answer.status,
        type: answer.headers.get("content-type"),
        cache: answer.headers.get("cache-control"),
        body: await answer.text(),
      };
    };
    const text = { status: 200, type: "text/plain; version=0.0.4; charset=utf-8", cache: "no-store" };
    expect(await ask("GET")).toMatchObject({ ...text, body: expect.stringMatching(/^# HELP bearerswap_build_info /) });
    expect(await ask("HEAD")).toEqual({ ...text, body: "" });
    expect((await ask("POST")).status).toBe(405);
  });

  test("says so where the metrics cannot be read, and goes on", async () => {
    const scrape = { contentType: "text/plain", text: () => Promise.reject(new Error("a figure is missing")) };
    const probes = createProbeServer({
      logout: () => undefined,
      address: { kind: "tcp", host: "127.0.0.1", port: 0 },
      readiness: { reason: () => undefined },
      scrape,
    });
    const place = await probes.listen();
    opened.onStop(() => probes.close());
    const answer = await fetch(`http://127.0.0.1:${place.kind === "tcp" ? place.port : 0}/metrics`);
    expect([answer.status, await answer.json()]).toEqual([
      500,
      { error: "the metrics cannot be read: a figure is missing" },
    ]);
  });

  test("listens on a unix socket too", async () => {
    const path = `${await temporaryDirectory(opened)}/http.sock`;
    const probes = createProbeServer({
      logout: () => undefined,
      address: { kind: "unix", path },
      readiness: { reason: () => undefined },
      scrape: noScrape,
    });
    await probes.listen();
    opened.onStop(() => probes.close());
    const answer = await new Promise<string>((resolve, reject) => {
      request({ socketPath: path, path: "/readyz" }, (response) => resolve(text(response)))
        .once("error", reject)
        .end();
    });
    expect(JSON.parse(answer)).toEqual({ status: "ok" });
  });

  test("says in a sentence that its address is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    opened.onStop(() => new Promise((resolve) => taken.close(resolve)));
    const { port } = taken.address() as { port: number };
    const probes = createProbeServer({
      logout: () => undefined,
      address: { kind: "tcp", host: "127.0.0.1", port },
      readiness: { reason: () => undefined },
      scrape: noScrape,
    });
    const failure = {
      code: "address",
      message: expect.stringMatching(new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`)),
    };
    await expect(probes.listen()).rejects.toMatchObject(failure);
  });
});
