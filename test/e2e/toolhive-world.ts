import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { expect } from "vitest";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { openClient } from "../stores/redis-harness.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { type OidcServer, type OidcServerOptions, startOidcServer } from "../support/oidc-server.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { toolhiveAcl } from "../support/toolhive-acl.ts";
import { until } from "../support/until.ts";
import { startUpstreamApi, tokenHash, type UpstreamApi } from "../support/upstream-api.ts";
import { withReplicas } from "./minted-world.ts";
import { createToolhive, type Toolhive, type ToolhiveSession } from "./toolhive-server.ts";

export const audience = "https://gateway.example.com/mcp";
const redisPassword = "hunter2";
export const keyPrefix = "thv:auth:{tools:crm}:";

/**
 * ToolHive's auth server beside bearerswap on one real Redis: users log in at the real provider by way of ToolHive, and
 * their requests go through a real Envoy to an API that takes only the provider's live tokens.
 */
export interface ToolhiveWorld {
  readonly toolhive: Toolhive;
  readonly issuer: JwtIssuer;
  readonly provider: OidcServer;
  readonly redis: RedisServer;
  /** Past everything under test. */
  readonly client: Redis;
  readonly services: readonly RunningService[];
  readonly api: UpstreamApi;
  readonly envoy: EnvoyProcess;
  readonly clock: ShiftedClock;
  /** Of the first replica. */
  readonly admin: GrantsClient;
  /** Where that is, as the command line takes it. */
  readonly adminAddress: string;
  /** What the first replica was started with, for reloads. */
  readonly config: object;
  send(session: Pick<ToolhiveSession, "jwt">): Promise<HttpAnswer>;
  /** The status and the `reason` that the client is told. */
  asked(session: Pick<ToolhiveSession, "jwt">): Promise<readonly [number, string | undefined]>;
  /** Resolves when so many of Envoy's checks are under way. */
  underWay(checks: number): Promise<void>;
  /** Whether the API got this access token last. */
  gotLast(accessToken: string): boolean;
  /** Fails the test where the log of a replica holds a session's id, its JWT, or a token of its row. */
  expectQuiet(): void;
}

export interface ToolhiveWorldOptions {
  readonly replicas?: number;
  readonly provider?: OidcServerOptions;
  readonly config?: object;
  /** More of the upstream `crm`. */
  readonly upstream?: object;
  /** More upstreams at the same provider, whose tokens each request gets beside that of `crm`. */
  readonly others?: Readonly<Record<string, object>>;
  /** bearerswap's user in Redis has the rights of the line in docs/toolhive.md. Default: all rights. */
  readonly hasFewRights?: boolean;
}

export async function startToolhiveWorld(
  use: Resources,
  {
    replicas = 1,
    provider: rules = {},
    config = {},
    upstream = {},
    others = {},
    hasFewRights = false,
  }: ToolhiveWorldOptions = {},
): Promise<ToolhiveWorld> {
  const dir = mkdtempSync(join(tmpdir(), "bsw-thv-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const [redis, issuer, provider] = await Promise.all([
    use.use(startRedis()),
    use.use(startJwtIssuer()),
    use.use(startOidcServer({ accessTokenLifeSeconds: 3_600, ...rules })),
  ]);
  const client = await openClient(use, redis.url);
  if (hasFewRights) await client.call("ACL", ...toolhiveAcl(keyPrefix, redisPassword));
  const user = hasFewRights ? { username: "bearerswap", password: "${env:REDIS_PASSWORD}" } : {};
  const toolhive = createToolhive({ client, prefix: keyPrefix, provider, issuer, audience });
  const api = await use.use(startUpstreamApi({ accepts: provider.isActive }));
  const login = { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const replica = (at: number) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, `admin-${at}.sock`)}` },
    sessions: [{ name: "toolhive", jwt: { issuer: issuer.issuer, audience, claim: "tsid", subject: "sub" } }],
    store: { toolhive: { redis: { url: redis.url, ...user }, prefix: keyPrefix } },
    upstreams: {
      crm: { ...login, ...upstream },
      ...Object.fromEntries(Object.entries(others).map(([name, more]) => [name, { ...login, ...more }])),
    },
    ...config,
  });
  const { client: own, postClient: other } = provider;
  const env = { SECRET: own.secret, POST_SECRET: other.secret, REDIS_PASSWORD: redisPassword };
  const services = await Promise.all(
    Array.from({ length: replicas }, (_, at) => use.use(startService({ config: replica(at), env, clock }))),
  );
  const setup = envoyConfig({
    service: services[0]?.grpc ?? "",
    upstreamPort: api.port,
    upstream: ["crm", ...Object.keys(others)].join(","),
  });
  const envoy = await use.use(startEnvoy({ config: withReplicas(setup, services) }));
  const socket = join(dir, "admin-0.sock");
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: socket } }));
  const port = envoy.port("main");
  const send = ({ jwt }: Pick<ToolhiveSession, "jwt">) => get(port, "/items", { authorization: `Bearer ${jwt}` });

  return {
    ...{ toolhive, issuer, provider, redis, client, services, api, envoy, clock, admin, send },
    adminAddress: `unix:${socket}`,
    config: replica(0),
    async asked(session) {
      const { status, body } = await send(session);
      return [status, (JSON.parse(body) as { reason?: string }).reason];
    },
    async underWay(checks) {
      const filter = encodeURIComponent("^cluster.bearerswap.upstream_rq_active$");
      await until(`${checks} checks to be under way`, async () => {
        const text = await (await fetch(`${envoy.adminUrl}/stats?filter=${filter}`)).text();
        return Number(/: (\d+)/.exec(text)?.[1]) >= checks;
      });
    },
    gotLast(accessToken) {
      const sent = api.requests.at(-1)?.headers.authorization ?? "";
      return tokenHash(sent.replace("Bearer ", "")) === tokenHash(accessToken);
    },
    expectQuiet() {
      const printed = services.map((service) => service.log()).join("");
      expect(printed.length).toBeGreaterThan(0);
      expect(toolhive.secrets().length).toBeGreaterThan(0);
      expect(toolhive.secrets().filter((secret) => printed.includes(secret))).toEqual([]);
    },
  };
}

/** The JWT of somebody else that names this session. */
export async function stolen({ issuer }: ToolhiveWorld, { sid }: ToolhiveSession): Promise<{ jwt: string }> {
  return { jwt: await issuer.sign({ aud: audience, sub: randomUUID(), tsid: sid }) };
}
