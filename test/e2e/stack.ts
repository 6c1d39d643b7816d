import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { type EnvoySetup, envoyConfig } from "../support/envoy-config.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";

export const sessionId = "ZW5kLXRvLWVuZC1zZXNzaW9uLWlk";

/** A real Envoy, a real OpenID provider, an API that takes only its live tokens, and bearerswap between them. */
export interface Stack {
  readonly provider: OidcServer;
  readonly api: UpstreamApi;
  readonly service: RunningService;
  readonly envoy: EnvoyProcess;
  /** Envoy's port. */
  readonly port: number;
  readonly clock: ShiftedClock;
  readonly admin: GrantsClient;
  /** A user logs in at the provider; the outcome is stored for the session. Resolves to the refresh token. */
  login(id?: string): Promise<string>;
}

export interface StackOptions {
  readonly sessions?: readonly object[];
  readonly upstream?: object;
  readonly config?: object;
  readonly envoy?: Partial<EnvoySetup>;
}

export async function startStack(
  use: Resources,
  {
    sessions = [{ opaque: { from: { header: "authorization" } } }],
    upstream = {},
    config = {},
    envoy: setup = {},
  }: StackOptions = {},
): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-e2e-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const provider = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600 }));
  const api = await use.use(startUpstreamApi({ accepts: provider.isActive }));
  const crm = { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}", ...upstream };
  const listen = { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, "admin.sock")}` };
  const service = await use.use(
    startService({
      config: { listen, sessions, upstreams: { crm }, ...config },
      env: { SECRET: provider.client.secret },
      clock,
    }),
  );
  const envoy = await use.use(
    startEnvoy({
      config: envoyConfig({ service: service.grpc, upstreamPort: api.port, upstream: "crm", ...setup }),
      args: ["--file-flush-interval-msec", "50"],
    }),
  );
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin.sock") } }));
  const login = async (id = sessionId) => {
    const {
      access_token: accessToken,
      refresh_token: refreshToken = "",
      expires_in: expiresIn,
    } = await provider.login();
    await admin.put({
      session: { source: "", id },
      upstream: "crm",
      subject: "",
      token: { accessToken, refreshToken, tokenType: "Bearer", scope: "", expiresIn },
    });
    return refreshToken;
  };
  return { provider, api, service, envoy, port: envoy.port("main"), clock, admin, login };
}

/** Lets bearerswap find every access token it holds expired. */
export function expire({ clock }: Stack): void {
  clock.shift(3_700_000);
}
