import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { resources } from "../support/resources.ts";
import { crm, environment, jwtSource, load, minimal, problemsOf } from "./config-text.ts";

const { onStop } = resources();

describe("a configuration", () => {
  test("of the smallest size has every default in place", () => {
    const { config } = load({});
    expect(config).toMatchObject({
      listen: { grpc: { kind: "tcp", host: "127.0.0.1", port: 9191 }, grpcMode: 0o660 },
      sessions: [
        {
          name: "jwt",
          kind: "jwt",
          from: { header: "authorization" },
          audience: ["https://gateway.example.com"],
          clockTolerance: 30_000,
        },
      ],
      store: { kind: "memory", maxGrants: 100_000 },
      refresh: { minRemainingMs: 10_000, aheadMs: 60_000, timeoutMs: 10_000 },
      check: { deadlineMs: 12_000, realm: "bearerswap" },
      cache: { maxSessions: 100_000 },
      routes: [],
      log: { level: "info", format: "auto" },
      shutdown: { timeoutMs: 20_000 },
    });
    expect(config.upstreams.crm).toMatchObject({
      inject: { header: "authorization", format: "Bearer {token}" },
      clientAuth: { method: "client_secret_basic" },
      refreshTokenLifeMs: 30 * 86_400_000,
      killsOldAccess: false,
    });
    expect(config.listen).not.toHaveProperty("http");
    expect(config.listen).not.toHaveProperty("admin");
  });

  test("of the Redis store has its defaults too", () => {
    const { config } = load({ store: { redis: { url: "redis://127.0.0.1:6379" } } });
    expect(config.store).toMatchObject({
      kind: "redis",
      keyPrefix: "bearerswap:",
      commandTimeoutMs: 2_000,
      connectTimeoutMs: 5_000,
      connectionName: "bearerswap",
    });
    expect(
      load(
        "listen: {grpc: '127.0.0.1:1'}\nsessions: [{opaque: {from: {cookie: s}}}]\nstore:\n  memory:\nupstreams: {crm: {issuer: 'https://a.example', clientId: x}}",
      ).config.store,
    ).toEqual({
      kind: "memory",
      maxGrants: 100_000,
    });
  });

  test("is frozen all the way down: nobody changes it on the way", () => {
    const { config } = load({ routes: [{ upstream: "crm" }] });
    const open: string[] = [];
    const visit = (value: unknown, path: string) => {
      if (typeof value !== "object" || value === null || value.constructor.name === "Secret") return;
      if (!Object.isFrozen(value)) open.push(path);
      for (const [key, inner] of Object.entries(value)) visit(inner, `${path}.${key}`);
    };
    visit(config, "config");
    expect(open).toEqual([]);
    expect(() => Object.assign(config.refresh, { timeoutMs: 1 })).toThrow(TypeError);
  });

  test("prints no secret, however it is printed", () => {
    const { config } = load({
      listen: { grpc: "127.0.0.1:9191", admin: "127.0.0.1:9193", adminToken: "${env:ADMIN_TOKEN}" },
      store: {
        redis: {
          sentinel: { name: "m", nodes: ["127.0.0.1:26379"], password: "${env:REDIS_PASSWORD}" },
          username: "u",
          password: "${env:REDIS_PASSWORD}",
        },
      },
    });
    const printed = `${inspect(config, { depth: 20, showHidden: true })} ${JSON.stringify(config)} ${String(config.listen.adminToken)}`;
    expect(printed).toContain("[redacted]");
    expect(printed).not.toContain("secret-value");
  });

  test("names all its problems at once, each with its path", () => {
    const problems = problemsOf({
      listen: { grpc: "nowhere", http: 9192, grpcMode: "rw" },
      sessions: [{ jwt: { ...jwtSource.jwt, issuer: "ftp://x" } }, { opaque: { from: {} } }, {}],
      store: { redis: { url: "http://127.0.0.1" } },
      upstreams: { crm: { ...crm, clientId: "" }, "Bad Name": crm },
      refresh: { timeout: "10 seconds" },
      check: { deadline: 12 },
      routes: [{ upstream: "crm", pathPrefix: "x" }, { upstream: "nobody" }],
      log: { level: "loud" },
      shutdown: { timeout: "1w" },
      cache: { maxSessions: 0 },
      extra: true,
    });
    expect(problems.map((problem) => problem.split(": ")[0]).sort()).toEqual([
      "cache.maxSessions",
      "check.deadline",
      "extra",
      "listen.grpc",
      "listen.grpcMode",
      "listen.http",
      "log.level",
      "refresh.timeout",
      "routes[0].pathPrefix",
      "routes[1].upstream",
      "sessions[0].jwt.issuer",
      "sessions[1].opaque.from",
      "sessions[2]",
      "shutdown.timeout",
      "store.redis.url",
      "upstreams.Bad Name",
      "upstreams.crm.clientId",
    ]);
  });

  test("says what is missing", () => {
    expect(problemsOf("log: {level: info}")).toEqual([
      "listen: is missing",
      "sessions: is missing",
      "upstreams: is missing",
    ]);
    expect(problemsOf({ listen: {}, sessions: [{ jwt: {} }] })).toEqual([
      "listen.grpc: is missing",
      "sessions[0].jwt.issuer: is missing",
      "sessions[0].jwt.audience: is missing",
      "sessions[0].jwt.claim: is missing",
    ]);
    expect(problemsOf({ sessions: [], upstreams: {} })).toEqual([
      "sessions: must name at least one source of sessions",
      "upstreams: must name at least one upstream",
    ]);
  });
});

describe("a key that nobody knows", () => {
  const tls = { cert: "/nowhere", key: "/nowhere" };
  const cases: [path: string, config: Readonly<Record<string, unknown>>][] = [
    ["tracing", { tracing: {} }],
    ["listen.htpp", { listen: { ...minimal.listen, htpp: "127.0.0.1:1" } }],
    ["listen.tls.ca", { listen: { ...minimal.listen, tls: { ...tls, ca: "/x" } } }],
    ["sessions[0].claim", { sessions: [{ ...jwtSource, claim: "tsid" }] }],
    ["sessions[0].jwt.jwk", { sessions: [{ jwt: { ...jwtSource.jwt, jwk: "https://x.example" } }] }],
    ["sessions[0].jwt.from.query", { sessions: [{ jwt: { ...jwtSource.jwt, from: { header: "x", query: "y" } } }] }],
    ["store.postgres", { store: { memory: {}, postgres: {} } }],
    ["store.redis.host", { store: { redis: { url: "redis://127.0.0.1", host: "x" } } }],
    ["upstreams.crm.client_id", { upstreams: { crm: { ...crm, client_id: "x" } } }],
    ["upstreams.crm.inject.prefix", { upstreams: { crm: { ...crm, inject: { prefix: "x" } } } }],
    ["refresh.retries", { refresh: { retries: 3 } }],
    ["check.timeout", { check: { timeout: "1s" } }],
    ["cache.ttl", { cache: { ttl: "1s" } }],
    ["routes[0].path", { routes: [{ upstream: "crm", path: "/" }] }],
    ["log.file", { log: { file: "/x" } }],
    ["shutdown.grace", { shutdown: { grace: "1s" } }],
  ];
  test.each(cases)("is an error: %s", (path, config) => {
    expect(problemsOf(config).filter((problem) => problem.startsWith(`${path}: is no known key`))).toHaveLength(1);
  });

  test("hides no other problem", () => {
    const problems = problemsOf({
      refresh: { timeout: "20s", retries: 3 },
      upstreams: { crm: { ...crm, client_id: "x", issuer: "http://idp.example.com" } },
    });
    expect(problems.map((problem) => problem.split(": ")[0]).sort()).toEqual([
      "refresh.retries",
      "refresh.timeout",
      "upstreams.crm.client_id",
      "upstreams.crm.issuer",
    ]);
  });
});

describe("a file", () => {
  test("is read with its references, and named in what is wrong with it", async () => {
    const dir = await mkdtemp(join(tmpdir(), "bearerswap-config-"));
    onStop(() => rm(dir, { recursive: true }));
    const file = join(dir, "gateway.yaml");
    await writeFile(file, JSON.stringify(minimal));
    expect(loadConfig(file, { env: environment }).config.upstreams.crm?.clientId).toBe("gateway");
    expect(() => loadConfig(file, { env: {} })).toThrow(
      `${file}: 1 problem\n  line 1: upstreams.crm.clientSecret: needs the environment variable CRM_SECRET, which is not set`,
    );
    expect(() => loadConfig(join(dir, "none.yaml"), { env: {} })).toThrow(/none\.yaml: cannot be read: ENOENT/);
  });
});
