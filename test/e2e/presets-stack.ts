import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import type { TokenResponse } from "../../src/gen/bearerswap/grants/v1/grants.ts";
import { type PresetName, presetNames } from "../../src/providers/presets.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { presetEnvironment, presetUpstream } from "../support/preset-upstream.ts";
import { type ProviderSimulator, startProviderSimulator } from "../support/provider-simulator.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

/** The presets that discover their endpoints, with what an operator has to say, and the client of the real OpenID provider that authenticates as they do. */
export const issuerPresets = [
  ["auth0", { domain: "example.eu.auth0.com" }, "postClient"],
  ["entra", { tenant: "contoso.onmicrosoft.com" }, "postClient"],
  ["keycloak", { domain: "sso.example.com", realm: "staff" }, "client"],
  ["okta", { domain: "example.okta.com" }, "client"],
] as const satisfies [PresetName, object, "client" | "postClient"][];

/** One Envoy and one service with an upstream for each preset, at a simulator of its provider, and `oidc-NAME` for each issuer preset at a real OpenID provider. */
export interface PresetsStack {
  readonly simulators: ReadonlyMap<PresetName, ProviderSimulator>;
  readonly oidc: OidcServer;
  readonly clock: ShiftedClock;
  readonly admin: GrantsClient;
  /** Stores a login. The session is the upstream's own. */
  put(upstream: string, token: Partial<TokenResponse>): Promise<void>;
  /** One request through Envoy to the upstream's API. */
  call(upstream: string): Promise<HttpAnswer>;
}

/** More than the preset knows: what its notes ask the operator for. */
const operatorsSettings: Partial<Record<PresetName, object>> = { salesforce: { accessTokenLife: "2h" } };

export async function startPresetsStack(use: Resources): Promise<PresetsStack> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-presets-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const oidc = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600 }));
  const simulators = new Map<PresetName, ProviderSimulator>();
  for (const name of presetNames) simulators.set(name, await use.use(startProviderSimulator(name, () => clock.wallMs())));
  const isActive = async (token: string) => [...simulators.values()].some(({ tokens }) => tokens.isActive(token)) || oidc.isActive(token);
  const api = await use.use(startUpstreamApi({ accepts: isActive }));
  const upstreams = { ...simulated(simulators), ...real(oidc) };
  const service = await use.use(
    startService({
      config: {
        listen: { grpc: "127.0.0.1:0", admin: `unix:${join(dir, "admin.sock")}` },
        sessions: [{ opaque: { from: { header: "authorization" } } }],
        upstreams,
        routes: Object.keys(upstreams).map((upstream) => ({ pathPrefix: `/${upstream}`, upstream })),
      },
      env: { ...presetEnvironment, OIDC_SECRET: oidc.client.secret, OIDC_POST_SECRET: oidc.postClient.secret },
      clock,
    }),
  );
  const envoy = await use.use(startEnvoy({ config: envoyConfig({ service: service.grpc, upstreamPort: api.port, upstream: null }) }));
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin.sock") } }));
  const empty: TokenResponse = { accessToken: "", refreshToken: "", tokenType: "", scope: "" };
  return {
    simulators,
    oidc,
    clock,
    admin,
    put: async (upstream, token) => void (await admin.put({ session: sessionOf(upstream), upstream, subject: "", token: { ...empty, ...token } })),
    call: (upstream) => get(envoy.port("main"), `/${upstream}/items`, { authorization: `Bearer ${sessionOf(upstream).id}` }),
  };
}

/** The session that belongs to an upstream's story. */
export function sessionOf(upstream: string): { readonly source: string; readonly id: string } {
  return { source: "", id: Buffer.from(`the-story-of-${upstream}`).toString("base64url") };
}

function simulated(simulators: ReadonlyMap<PresetName, ProviderSimulator>): Record<string, object> {
  return Object.fromEntries([...simulators].map(([name, simulator]) => [name, { ...presetUpstream(simulator), ...operatorsSettings[name] }]));
}

function real(oidc: OidcServer): Record<string, object> {
  return Object.fromEntries(
    issuerPresets.map(([preset, parameters, client]) => {
      const clientSecret = client === "client" ? "${env:OIDC_SECRET}" : "${env:OIDC_POST_SECRET}";
      return [`oidc-${preset}`, { preset, ...parameters, issuer: oidc.issuer, clientId: oidc[client].id, clientSecret }];
    }),
  );
}
