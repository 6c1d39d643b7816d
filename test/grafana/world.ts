import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { withReplicas } from "../e2e/minted-world.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser, type HttpBrowser } from "../support/http-browser.ts";
import { get } from "../support/http-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

/**
 * A real Envoy that heals, two replicas on one Redis, an upstream `crm` whose accounts users connect at a real
 * provider, an upstream `reports` whose tokens are minted at `/reports`, and an API that takes no token in `rejected`.
 */
export async function startMeasuredWorld({ use, onStop }: Resources) {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-measured-"));
  onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const minting = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, clientCredentials: true }));
  const login = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const redis = await use(startRedis());
  const rejected = new Set<string>();
  const isGood = async (token: string) => (await provider.isActive(token)) || minting.isOwn(token);
  const api = await use(startUpstreamApi({ accepts: async (token) => !rejected.has(token) && (await isGood(token)) }));
  const clientSecret = "${env:SECRET}";
  const jwt = { issuer: login.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub" };
  const config = (at: number) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, `admin-${at}.sock`)}` },
    sessions: [{ name: "agents", jwt }, { cookie: { issue: true } }],
    store: { redis: { url: redis.url } },
    upstreams: {
      crm: {
        ...{ issuer: provider.issuer, clientId: provider.client.id, clientSecret },
        connect: { scope: "openid offline_access", parameters: { prompt: "consent" } },
      },
      reports: {
        ...{ issuer: minting.issuer, clientId: minting.client.id, clientSecret },
        clientCredentials: { scope: "api" },
      },
    },
    routes: [
      { host: "127.0.0.1", pathPrefix: "/reports", upstream: "reports" },
      { host: "127.0.0.1", pathPrefix: "/", upstream: "crm" },
    ],
    ignorePort: true,
    connect: { publicUrl, login: { agents: { clientId: login.client.id, clientSecret } } },
    heal: {},
  });
  const services = await Promise.all(
    [0, 1].map((at) => use(startService({ config: config(at), env: { SECRET: provider.client.secret }, clock }))),
  );
  const setup = { service: services[0]?.grpc ?? "", upstreamPort: api.port, upstream: null, port, heals: true };
  await use(startEnvoy({ config: withReplicas(envoyConfig(setup), services) }));
  const admin = await use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin-0.sock") } }));

  /** A client whose session is a JWT. */
  async function client(sid: string) {
    const claims = { iss: login.issuer, aud: "gateway", tsid: sid, sub: "user-1" };
    const headers = { authorization: `Bearer ${await keys.sign(claims, { expiresIn: 86_400 })}` };
    return { send: async (path: string) => (await get(port, path, headers)).status };
  }

  return {
    ...{ clock, provider, redis, admin },
    /** One replica is told of a configuration with a fault, then again of the one in force. */
    reload() {
      for (const given of [{ ...config(0), upstreams: {} }, config(0)]) services[0]?.reload(given);
    },
    metricsPorts: services.map(({ listening: { http } }) => (http?.kind === "tcp" ? http.port : 0)),
    /** A browser whose user picks an account at every provider on the way. */
    visit: (browser: HttpBrowser, path: string, user = "user-1") =>
      browser.visit(`${publicUrl}${path}`, (url) => {
        if (url.pathname === "/auth") url.searchParams.set("login_hint", user);
      }),
    browser: createHttpBrowser,
    client,
    /** A client whose session has the grant of a login elsewhere. */
    async connected(sid: string) {
      const tokens = await provider.login();
      const { access_token: accessToken, refresh_token: refreshToken = "", expires_in: expiresIn } = tokens;
      const token = { accessToken, refreshToken, tokenType: "Bearer", scope: "", expiresIn };
      await admin.put({ session: { source: "agents", id: sid }, upstream: "crm", subject: "user-1", token });
      return client(sid);
    },
    /** The API takes no more the token that it got last. */
    rejectLast: () => void rejected.add(api.requests.at(-1)?.headers.authorization?.slice("Bearer ".length) ?? ""),
  };
}
