import { expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { redisCommand } from "../support/redis-command.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { runHere, runProcess, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const base = { listen: { grpc: "127.0.0.1:0" }, sessions: [{ opaque: { from: { header: "x-session" } } }] };

/** The exit code and what `check --online` prints after the first line. */
async function online(
  config: object,
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; lines: string[] }> {
  const { code, stdout } = await runHere(
    ["check", "--online", "--config", await writeConfig(opened, { ...base, ...config })],
    { env },
  );
  const [first, ...lines] = stdout.trimEnd().split("\n");
  expect(first).toMatch(/: ok$/);
  expect(stdout).not.toContain("hunter2");
  return { code, lines };
}

test("check --online asks issuers, clients and the store, one line each, with exit code 0 where all is well", async () => {
  const [oidc, issuer, redis] = await Promise.all([use(startOidcServer()), use(startJwtIssuer()), use(startRedis())]);
  const crm = { issuer: oidc.issuer, clientId: oidc.client.id, clientSecret: "${env:SECRET}" };
  const sessions = [{ name: "agents", jwt: { issuer: issuer.issuer, audience: "gateway", claim: "sid" } }];
  const file = await writeConfig(opened, {
    ...base,
    sessions,
    store: { redis: { url: redis.url } },
    upstreams: { crm },
  });
  const { code, stdout } = await runProcess(["check", "--online", "--config", file], {
    env: { SECRET: oidc.client.secret },
  });
  expect(stdout.trimEnd().split("\n")).toEqual([
    `${file}: ok`,
    "OK      sessions.agents.jwt: the issuer's keys are there",
    expect.stringMatching(/^OK {6}upstreams\.crm: the provider takes the client: .*invalid_grant/),
    expect.stringMatching(
      /^OK {6}store: (?:Redis|Valkey) \d+\.\d+\.\d+: its version, its eviction policy and the user's rights are as needed$/,
    ),
  ]);
  expect(code).toBe(0);
  expect(await redisCommand(redis, "KEYS", "*")).toEqual([]);
});

test("check --online tells a client that the provider refuses, what cannot be reached, and what cannot be told, with exit code 1", async () => {
  const [oidc, endpoint, gone] = [await use(startOidcServer()), await use(startTokenEndpoint()), await freePort()];
  endpoint.respondAlways({ status: 500 });
  const jwt = { issuer: `http://127.0.0.1:${gone}`, audience: "gateway", claim: "sid" };
  const upstreams = {
    wrong: { issuer: oidc.issuer, clientId: oidc.client.id, clientSecret: "${env:SECRET}" },
    gone: { issuer: `http://127.0.0.1:${gone}`, clientId: "x" },
    shut: { tokenEndpoint: `http://127.0.0.1:${gone}/token`, clientId: "x" },
    silent: { tokenEndpoint: endpoint.url, clientId: "x" },
  };
  const { code, lines } = await online({ sessions: [{ jwt }], upstreams }, { SECRET: "hunter2" });
  expect(lines).toEqual([
    expect.stringMatching(/^PROBLEM sessions\.jwt\.jwt: the issuer's keys cannot be had: .*ECONNREFUSED/),
    expect.stringMatching(
      /^PROBLEM upstreams\.wrong: the provider refuses the client or what it sends: check clientId, .*invalid_client/,
    ),
    expect.stringMatching(/^PROBLEM upstreams\.gone: the provider cannot be asked: .*discovery failed/),
    `PROBLEM upstreams.shut: the provider cannot be asked: http://127.0.0.1:${gone}/token: connect ECONNREFUSED 127.0.0.1:${gone}`,
    expect.stringMatching(/^UNTOLD {2}upstreams\.silent: the provider is there, and its answer does not tell .*500/),
    "OK      store: memory: there is nothing to ask",
  ]);
  expect(code).toBe(1);
  expect(endpoint.calls).toBe(1);
});

test("check --online tells what the store lacks: rights, an eviction policy, the store itself", async () => {
  const [redis, endpoint] = [await use(startRedis()), await use(startTokenEndpoint())];
  const upstreams = { crm: { tokenEndpoint: endpoint.url, clientId: "x" } };
  const storeLine = async (url: string) => {
    const { code, lines } = await online({ upstreams, store: { redis: { url } } }, { PASSWORD: "hunter2" });
    return [code, lines.at(-1)];
  };
  await redisCommand(redis, "ACL", "SETUSER", "few", "on", ">hunter2", "~*", "&*", "+@all", "-smembers", "-publish");
  expect(await storeLine(redis.url.replace("//", "//few:${env:PASSWORD}@"))).toEqual([
    1,
    "PROBLEM store: the user may not run smembers, publish: give it the line under Redis ACL in docs/operations.md",
  ]);
  await redisCommand(redis, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru");
  expect(await storeLine(redis.url)).toEqual([
    1,
    expect.stringContaining(
      "maxmemory-policy is allkeys-lru: an evicted grant is a user who is logged out; set noeviction",
    ),
  ]);
  expect(await storeLine(`redis://127.0.0.1:${await freePort()}`)).toEqual([
    1,
    expect.stringMatching(/^PROBLEM store: Redis: .*check the address in store\.redis/),
  ]);
});
