import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { cluster, type EnvoySetup, envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { get, type HttpAnswer, type RequestHeaders } from "../support/http-client.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import type { OidcFaults } from "../support/oidc-faults.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";

/** A real Envoy in front of replicas on one real Redis, which mint the tokens of the upstream `crm`. */
export interface MintedWorld {
  readonly issuer: JwtIssuer;
  readonly redis: RedisServer;
  readonly services: readonly RunningService[];
  readonly api: UpstreamApi;
  readonly clock: ShiftedClock;
  readonly admin: GrantsClient;
  /** Envoy's. */
  readonly port: number;
  /** The headers of a session's requests. */
  session(sid: string, claims?: object, expiresIn?: number): Promise<Record<string, string>>;
  send(headers?: RequestHeaders, path?: string): Promise<HttpAnswer>;
  /** Sends one request at a time until every replica has answered some of them. */
  sendToAll(headers: Record<string, string>): Promise<readonly number[]>;
}

export interface MintedWorldOptions {
  readonly upstream: object;
  readonly accepts: (token: string, path: string) => boolean | Promise<boolean>;
  /** Whose JWTs name sessions. Default: a new one. */
  readonly issuer?: JwtIssuer;
  /** More upstreams. */
  readonly others?: object;
  readonly replicas?: number;
  readonly jwt?: object;
  readonly config?: object;
  /** With `heal`, and the filters of envoy-heal.yaml in Envoy. */
  readonly heals?: boolean;
  readonly encryption?: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly envoy?: Partial<EnvoySetup>;
}

export const gatewayAudience = "https://gateway.example.com";

export async function startMintedWorld(
  use: Resources,
  {
    upstream,
    accepts,
    replicas = 1,
    jwt = {},
    config = {},
    heals = false,
    encryption,
    env = {},
    ...given
  }: MintedWorldOptions,
): Promise<MintedWorld> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-minted-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const issuer = given.issuer ?? (await use.use(startJwtIssuer()));
  const redis = await use.use(startRedis());
  const api = await use.use(startUpstreamApi({ accepts }));
  const store = { redis: { url: "${env:REDIS}" }, ...(encryption === undefined ? {} : { encryption }) };
  const replica = (at: number) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, `admin-${at}.sock`)}` },
    sessions: [{ jwt: { issuer: issuer.issuer, audience: gatewayAudience, claim: "sid", ...jwt } }],
    store,
    upstreams: { crm: upstream, ...given.others },
    ...(heals ? { heal: {} } : {}),
    ...config,
  });
  const services = await Promise.all(
    Array.from({ length: replicas }, (_, at) =>
      use.use(startService({ config: replica(at), env: { ...env, REDIS: redis.url }, clock })),
    ),
  );
  const [first] = services;
  const setup = { service: first?.grpc ?? "", upstreamPort: api.port, upstream: "crm", heals, ...given.envoy };
  const envoy = await use.use(startEnvoy({ config: withReplicas(envoyConfig(setup), services) }));
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin-0.sock") } }));
  const port = envoy.port("main");
  const send = (headers: RequestHeaders = {}, path = "/") => get(port, path, headers);

  return {
    ...{ issuer, redis, services, api, clock, admin, port, send },
    async session(sid, claims = {}, expiresIn = 3_600) {
      const jwt = await issuer.sign({ aud: gatewayAudience, sid, ...claims }, { expiresIn });
      return { authorization: `Bearer ${jwt}` };
    },
    // Envoy takes the endpoints in turns, in each of its worker threads.
    sendToAll: async (headers) => {
      const answers = [];
      for (let sent = 0; sent < 8 * services.length; sent++) answers.push((await send(headers)).status);
      return answers;
    },
  };
}

/**
 * A session that holds no good token is told 503 with the provider's own Retry-After while that is down, and gets its
 * token when it is back, with Redis down too; that token is kept.
 */
export async function bearsOutages(
  { provider, redis, clock, send }: MintedWorld & { readonly provider: Pick<OidcFaults, "failAlways"> },
  headers: Record<string, string>,
): Promise<void> {
  provider.failAlways(503, { "retry-after": "7" });
  const answer = await send(headers);
  expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "7"]);
  provider.failAlways(undefined);
  await redis.stop();
  clock.shift(7_000);
  expect((await send(headers)).status).toBe(200);
  clock.shift(200_000);
  expect((await send(headers)).status).toBe(200);
}

/** Envoy asks the replicas in turns. */
export function withReplicas(config: object, services: readonly RunningService[]): object {
  const { static_resources: resources } = config as { static_resources: { clusters: { name: string }[] } };
  const endpoints = services.map(({ grpc }) => cluster("bearerswap", grpc, true) as { load_assignment: Assignment });
  const all = endpoints.flatMap(({ load_assignment: { endpoints: places } }) => places);
  const [one] = endpoints;
  const clusters = resources.clusters.map((each) =>
    each.name === "bearerswap" ? { ...one, load_assignment: { cluster_name: "bearerswap", endpoints: all } } : each,
  );
  return { static_resources: { ...resources, clusters } };
}

interface Assignment {
  readonly endpoints: readonly object[];
}
