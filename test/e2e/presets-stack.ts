import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { createFetchFor, type HttpFetch } from "../../src/platform/fetch-for.ts";
import { type PresetName, presetNames } from "../../src/providers/presets.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { connectedUpstream, presetEnvironment } from "../support/preset-upstream.ts";
import { type ProviderSimulator, startProviderSimulator } from "../support/provider-simulator.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

/**
 * The presets that discover their endpoints, with what an operator has to say, and the client of the real OpenID
 * provider that authenticates as they do.
 */
export const issuerPresets = [
  ["auth0", { domain: "example.eu.auth0.com" }, "postClient"],
  ["entra", { tenant: "contoso.onmicrosoft.com" }, "postClient"],
  ["keycloak", { domain: "sso.example.com", realm: "staff" }, "client"],
  ["okta", { domain: "example.okta.com" }, "client"],
] as const satisfies [PresetName, object, "client" | "postClient"][];

/** Somebody who connects accounts in a browser of their own; the session begins with the first. */
export interface User {
  /** Goes to the page that connects an upstream, and to wherever that leads. */
  connect(upstream: string, edit?: (url: URL) => void): Promise<ShownPage>;
  /** One request through Envoy to the upstream's API, with the cookie that was issued. */
  call(upstream: string): Promise<HttpAnswer>;
  /** As the admin service names it. */
  session(): { readonly source: string; readonly id: string };
}

/**
 * One Envoy and one service with an upstream for each preset, at a simulator of its provider, and `oidc-NAME` for each
 * issuer preset at a real OpenID provider.
 */
export interface PresetsStack {
  readonly simulators: ReadonlyMap<PresetName, ProviderSimulator>;
  readonly oidc: OidcServer;
  /** Every refresh token of the OpenID provider, as a thief on the wire sees them. */
  readonly stolen: readonly string[];
  readonly clock: ShiftedClock;
  readonly admin: GrantsClient;
  readonly service: RunningService;
  /** Where browsers reach Envoy. */
  readonly publicUrl: string;
  user(): User;
}

/** More than the preset knows: what its notes ask the operator for. */
const operatorsSettings: Partial<Record<PresetName, object>> = { salesforce: { accessTokenLife: "2h" } };

export async function startPresetsStack(use: Resources): Promise<PresetsStack> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-presets-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const oidc = await use.use(
    startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris: [`${publicUrl}/_bearerswap/callback`] }),
  );
  const simulators = new Map<PresetName, ProviderSimulator>();
  for (const name of presetNames)
    simulators.set(name, await use.use(startProviderSimulator(name, () => clock.wallMs())));
  const isActive = async (token: string) =>
    [...simulators.values()].some(({ tokens }) => tokens.isActive(token)) || oidc.isActive(token);
  const api = await use.use(startUpstreamApi({ accepts: isActive }));
  const upstreams = { ...simulated(simulators), ...real(oidc) };
  const stolen: string[] = [];
  const service = await use.use(
    startService({
      config: {
        listen: { grpc: "127.0.0.1:0", admin: `unix:${join(dir, "admin.sock")}` },
        sessions: [{ cookie: { issue: true } }],
        upstreams,
        routes: Object.keys(upstreams).map((upstream) => ({ pathPrefix: `/${upstream}`, upstream })),
        connect: { publicUrl },
      },
      env: { ...presetEnvironment, OIDC_SECRET: oidc.client.secret, OIDC_POST_SECRET: oidc.postClient.secret },
      clock,
      fetch: stealingFetch(oidc.tokenEndpoint, stolen),
    }),
  );
  await use.use(
    startEnvoy({ config: envoyConfig({ service: service.grpc, upstreamPort: api.port, upstream: null, port }) }),
  );
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin.sock") } }));
  return { simulators, oidc, stolen, clock, admin, service, publicUrl, user: () => createUser(publicUrl, port) };
}

function createUser(publicUrl: string, port: number): User {
  const browser = createHttpBrowser();
  const cookie = () => browser.cookie(publicUrl, issuedCookie);
  return {
    connect: (upstream, edit) => browser.visit(`${publicUrl}/_bearerswap/connect/${upstream}`, edit),
    call: (upstream) =>
      get(port, `/${upstream}/items`, cookie() === undefined ? {} : { cookie: `${issuedCookie}=${cookie()}` }),
    session: () => ({ source: "", id: cookie() ?? "" }),
  };
}

const issuedCookie = "__Host-bearerswap";

function stealingFetch(tokenEndpoint: string, stolen: string[]): HttpFetch {
  const fetch = createFetchFor({})(undefined);
  return async (url, init) => {
    const response = await fetch(url, init);
    if (url !== tokenEndpoint) return response;
    const { refresh_token: token } = (await response.json()) as { readonly refresh_token?: string };
    if (token !== undefined) stolen.push(token);
    return response;
  };
}

function simulated(simulators: ReadonlyMap<PresetName, ProviderSimulator>): Record<string, object> {
  return Object.fromEntries(
    [...simulators].map(([name, simulator]) => [name, { ...connectedUpstream(simulator), ...operatorsSettings[name] }]),
  );
}

function real(oidc: OidcServer): Record<string, object> {
  return Object.fromEntries(
    issuerPresets.map(([preset, parameters, client]) => {
      const clientSecret = client === "client" ? "${env:OIDC_SECRET}" : "${env:OIDC_POST_SECRET}";
      // Keycloak gives refresh tokens without being asked.
      const connect = {
        scope: preset === "keycloak" ? "openid offline_access" : "openid",
        parameters: { prompt: "consent" },
      };
      return [
        `oidc-${preset}`,
        { preset, ...parameters, issuer: oidc.issuer, clientId: oidc[client].id, clientSecret, connect },
      ];
    }),
  );
}
