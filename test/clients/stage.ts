import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { shiftedClock } from "../support/shifted-clock.ts";
import { startUser, type User } from "./user.ts";

/** An MCP server behind Envoy and bearerswap, whose clients begin without anything but its address. */
export interface Stage {
  /** What a user gives to a client. */
  readonly mcpUrl: string;
  /** Where clients log in. */
  readonly issuer: OidcServer;
  /** Where users connect their accounts. */
  readonly provider: OidcServer;
  /** The address of the server behind another Envoy, with filters before ext_authz. */
  behind(filters: readonly object[]): Promise<string>;
  /** Somebody with a browser of their own. */
  user(name: string): Promise<User>;
  /** The account is lost while its client works: the access token is at its end, its refresh token refused. */
  lose(): void;
}

export interface StageOptions {
  /** Default false. */
  readonly assumeUrlElicitation?: boolean;
  /** The server, which takes only bearers that it is told to accept. */
  readonly startServer?: (options: {
    accepts(token: string): Promise<boolean>;
  }) => Promise<{ readonly port: number; stop(): Promise<void> }>;
}

/** No session ends while a test moves the gateway's clock. */
const month = 30 * 86_400;

export async function startStage(
  { use }: Resources,
  { assumeUrlElicitation = false, startServer = startMcpServer }: StageOptions = {},
): Promise<Stage> {
  const clock = shiftedClock();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const mcpUrl = `${publicUrl}/mcp`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const issuer = await use(startOidcServer({ accessTokenLifeSeconds: month, redirectUris, mcpResource: mcpUrl }));
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const mcp = await use(startServer({ accepts: provider.isActive }));
  const client = { clientId: issuer.client.id, clientSecret: "${env:SECRET}" };
  const config = {
    sessions: [{ name: "agents", jwt: { issuer: issuer.issuer, audience: mcpUrl, claim: "sub", subject: "sub" } }],
    upstreams: {
      crm: {
        ...client,
        issuer: provider.issuer,
        connect: { scope: "openid offline_access", parameters: { prompt: "consent" } },
      },
    },
    connect: {
      publicUrl,
      login: { agents: client },
      resources: [{ resource: mcpUrl, scopes: ["mcp"] }],
      assumeUrlElicitation,
    },
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret }, clock }));
  const setup = {
    ...{ service: service.grpc, upstreamPort: mcp.port, upstream: "crm" },
    contextExtensions: { mcp: "true" },
    checkSettings: { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } },
  };
  await use(startEnvoy({ config: envoyConfig({ ...setup, port }) }));
  return {
    mcpUrl,
    issuer,
    provider,
    async behind(filtersBefore) {
      const envoy = await use(startEnvoy({ config: envoyConfig({ ...setup, filtersBefore }) }));
      return `http://127.0.0.1:${envoy.port()}/mcp`;
    },
    user: (name) => use(startUser(name)),
    lose() {
      provider.failNext(400, {}, { error: "invalid_grant" });
      clock.shift(3_700_000);
    },
  };
}
