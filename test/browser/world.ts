import { createCertificateAuthority } from "../support/certificates.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";

/**
 * A real Envoy with TLS, APIs behind it by path, users without any session but the one they get here, and agents, whose
 * tokens are the provider's ID tokens.
 */
export interface BrowserWorld {
  readonly publicUrl: string;
  /** The page of accounts. */
  readonly overview: string;
  /** At another site than Envoy: 127.0.0.1 and not localhost. */
  readonly provider: OidcServer;
  readonly api: UpstreamApi;
  readonly clock: ShiftedClock;
}

export interface BrowserWorldOptions {
  readonly upstreams: readonly string[];
  /** What users read of an upstream, by its name. */
  readonly titles?: Readonly<Record<string, string>>;
  /** Whether the provider shows a login page; else it logs every user in unasked, as Ada. Default false. */
  readonly asksUsers?: boolean;
}

export async function startBrowserWorld(
  { use }: Resources,
  { upstreams, titles = {}, asksUsers = false }: BrowserWorldOptions,
): Promise<BrowserWorld> {
  const port = await freePort();
  const publicUrl = `https://localhost:${port}`;
  const ca = await use(createCertificateAuthority());
  const clock = shiftedClock();
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris, asksUsers }));
  const api = await use(startUpstreamApi({ accepts: provider.isActive }));
  const client = { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const parameters = { prompt: "consent", ...(asksUsers ? {} : { login_hint: "ada@example.com" }) };
  const connect = { scope: "openid offline_access", parameters };
  const config = {
    sessions: [
      {
        name: "agents",
        jwt: { issuer: provider.issuer, audience: provider.client.id, claim: "sub", subject: "sub" },
      },
      { name: "people", cookie: { issue: true } },
    ],
    upstreams: Object.fromEntries(
      upstreams.map((name) => [
        name,
        { ...client, connect, ...(titles[name] === undefined ? {} : { displayName: titles[name] }) },
      ]),
    ),
    connect: {
      publicUrl,
      login: { agents: { clientId: provider.client.id, clientSecret: "${env:SECRET}" } },
    },
    routes: upstreams.map((upstream) => ({ pathPrefix: `/${upstream}`, upstream })),
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret }, clock }));
  await use(
    startEnvoy({
      config: envoyConfig({
        service: service.grpc,
        upstreamPort: api.port,
        upstream: null,
        port,
        tls: await ca.server(),
      }),
    }),
  );
  return { publicUrl, overview: `${publicUrl}/_bearerswap/`, provider, api, clock };
}
