import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser, type HttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import { type KeyApi, startKeyApi } from "../support/key-api.ts";
import { freePort, type RedisServer, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { withReplicas } from "./minted-world.ts";

/** A real Envoy in front of replicas on one real Redis, and an API that takes keys. */
export interface SecretStack {
  readonly api: KeyApi;
  readonly redis: RedisServer;
  readonly services: readonly RunningService[];
  readonly envoy: EnvoyProcess;
  readonly clock: ShiftedClock;
  readonly admin: GrantsClient;
  readonly publicUrl: string;
  /** A new browser that has entered this secret; it has a session from then on. */
  connected(secret: string): Promise<HttpBrowser>;
  /** The form, as a browser without a session is led to it. */
  form(browser: HttpBrowser): Promise<ShownPage>;
  /** A request of an agent: `session` is its header. */
  ask(session: string, path?: string): Promise<HttpAnswer>;
  /** Puts a secret for an agent's session. */
  put(session: string, text: string): Promise<unknown>;
  /** Each event of all replicas. */
  events(name: string): readonly Record<string, unknown>[];
}

export const goodKey = "pat-0123456789abcdef";
export const goodHeader = `token ${goodKey}`;

interface SecretStackOptions {
  readonly replicas?: number;
  /** What `secret` says beside its label; undefined takes `verify` away. */
  readonly secret?: object;
}

export async function startSecretStack(
  use: Resources,
  { replicas = 1, secret = {} }: SecretStackOptions = {},
): Promise<SecretStack> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-secret-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const [clock, api, redis, port] = [
    shiftedClock(),
    await use.use(startKeyApi()),
    await use.use(startRedis()),
    await freePort(),
  ];
  api.good.add(goodHeader);
  const publicUrl = `http://localhost:${port}`;
  const socket = (at: number) => join(dir, `admin-${at}.sock`);
  const config = (at: number) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${socket(at)}` },
    sessions: [
      { name: "agents", opaque: { from: { header: "x-session" } } },
      // No session begins with a secret that nobody tries.
      ...("verify" in secret && secret.verify === undefined ? [] : [{ name: "people", cookie: { issue: true } }]),
    ],
    store: {
      redis: { url: "${env:REDIS}", commandTimeout: "1s" },
      encryption: { keys: [{ id: "k1", key: "${env:SEALING}" }] },
    },
    connect: { publicUrl },
    heal: {},
    upstreams: {
      ghes: {
        secret: { label: "Personal access token", verify: { url: `${api.url}/user` }, ...secret },
        inject: { format: "token {token}" },
      },
    },
  });
  const env = { REDIS: redis.url, SEALING: newSealingKey() };
  const services = await Promise.all(
    Array.from({ length: replicas }, (_, at) => use.use(startService({ config: config(at), env, clock }))),
  );
  const body = { with_request_body: { max_request_bytes: 16_384, allow_partial_message: true } };
  const setup = { service: services[0]?.grpc ?? "", upstreamPort: api.port, upstream: "ghes", port, heals: true };
  const envoy = await use.use(
    startEnvoy({ config: withReplicas(envoyConfig({ ...setup, checkSettings: body }), services) }),
  );
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: socket(0) } }));
  const form = (browser: HttpBrowser) => browser.visit(`${publicUrl}/_bearerswap/connect/ghes`);

  return {
    ...{ api, redis, services, envoy, clock, admin, publicUrl, form },
    async connected(text) {
      const browser = createHttpBrowser();
      const page = await browser.submit(await form(browser), { secret: text });
      if (page.status !== 200) throw new Error(`the form was answered ${page.status}: ${page.body}`);
      return browser;
    },
    ask: (session, path = "/repos") => get(port, path, { "x-session": session }),
    put: (session, text) =>
      admin.put({
        ...{ session: { source: "agents", id: session }, upstream: "ghes", subject: "", token: undefined },
        secret: { text, untried: true },
      }),
    events: (name) => services.flatMap((service) => service.events(name)),
  };
}
