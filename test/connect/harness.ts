import { type HttpRequestOptions, httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient, type ExtAuthzClient } from "../support/ext-authz-client.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { type OidcServer, type OidcServerOptions, startOidcServer } from "../support/oidc-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { createBrowser, type Page, pageOf, prefix, publicUrl, type TestBrowser } from "./browser.ts";

/** The session of a cookie that somebody else set: a source of its own. */
export const sessionCookie = "__Host-app";
export const sessionValue = "YW4tb3BhcXVlLXNlc3Npb24taWQ";

/** A JWT in a cookie, of the same issuer as the bearer ones. */
export const webCookie = "__Host-web";

/**
 * bearerswap with an upstream `crm` at a real provider, and sessions of every kind that connects; `as` is the issuer of
 * bearer sessions.
 */
export interface ConnectWorld {
  readonly provider: OidcServer;
  readonly as: OidcServer;
  readonly service: RunningService;
  readonly client: ExtAuthzClient;
  readonly clock: ShiftedClock;
  /** A JWT of the session `tsid`, of user `sub` (default user-1; null leaves the claim out). */
  token(tsid: string, sub?: string | null): Promise<string>;
  /** Signs other claims as the issuer of sessions. */
  readonly sign: JwtIssuer["sign"];
  /** The same as request headers. */
  bearer(tsid: string, sub?: string | null): Promise<Record<string, string>>;
  /** A new browser, with the session's cookie unless it is null. */
  browser(session?: string | null): TestBrowser;
  /** One Check of an API request. */
  call(headers: Record<string, string>, options?: HttpRequestOptions): Promise<Page>;
  /** Another replica, on the same store where that is Redis. */
  replica(): Promise<{ readonly service: RunningService; readonly client: ExtAuthzClient }>;
}

export interface WorldOptions {
  readonly config?: object;
  readonly connect?: object;
  readonly upstream?: object;
  /** More upstreams. */
  readonly upstreams?: (servers: { readonly provider: OidcServer; readonly as: OidcServer }) => object;
  /** Settings of the source of bearer sessions; in them `claim: sub` lets its users log in on the page. */
  readonly agents?: object;
  /** More sources of the same issuer, whose keys are at `jwks`. */
  readonly sources?: (issuer: { readonly issuer: string; readonly jwks: string }) => readonly object[];
  /** Settings of its issuer. */
  readonly issuer?: OidcServerOptions;
  /** Variables that the configuration names, beside SECRET. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether sessions are issued to users who have none; default false. */
  readonly issue?: boolean | object;
}

export async function startWorld(
  use: Resources,
  {
    config = {},
    connect = {},
    upstream = {},
    upstreams = () => ({}),
    agents = {},
    sources = () => [],
    env = {},
    issuer = {},
    issue = false,
  }: WorldOptions = {},
): Promise<ConnectWorld> {
  const clock = shiftedClock();
  const redirectUris = [`${prefix}callback`, `${prefix}callback/crm`, `${prefix}callback/wiki`];
  const provider = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const as = await use.use(startOidcServer({ redirectUris, ...issuer }));
  const keys: JwtIssuer = await use.use(startJwtIssuer());
  const crm = {
    issuer: provider.issuer,
    clientId: provider.client.id,
    clientSecret: "${env:SECRET}",
    connect: { scope: "openid offline_access", parameters: { prompt: "consent" } },
    ...upstream,
  };
  const settings = {
    sessions: [
      {
        name: "agents",
        jwt: { issuer: as.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub", ...agents },
      },
      {
        name: "web",
        jwt: {
          from: { cookie: webCookie },
          issuer: as.issuer,
          jwks: keys.jwksUrl,
          audience: "gateway",
          claim: "tsid",
          subject: "sub",
        },
      },
      { name: "app", opaque: { from: { cookie: sessionCookie } } },
      ...sources({ issuer: as.issuer, jwks: keys.jwksUrl }),
      ...(issue === false ? [] : [{ name: "issued", cookie: { issue: true, ...(issue === true ? {} : issue) } }]),
    ],
    upstreams: { crm, ...upstreams({ provider, as }) },
    connect: { publicUrl, login: { agents: { clientId: as.client.id, clientSecret: "${env:SECRET}" } }, ...connect },
    ...config,
  };
  const start = async () => {
    const service = await use.use(
      startService({ config: settings, env: { SECRET: provider.client.secret, ...env }, clock }),
    );
    return { service, client: await use.use(createExtAuthzClient(service.grpc)) };
  };
  const { service, client } = await start();
  const token = (tsid: string, sub: string | null = "user-1") =>
    keys.sign({ iss: as.issuer, aud: "gateway", tsid, ...(sub === null ? {} : { sub }) }, { expiresIn: 86_400 });

  return {
    provider,
    as,
    service,
    client,
    clock,
    token,
    sign: (claims, options) => keys.sign({ iss: as.issuer, ...claims }, options),
    bearer: async (tsid, sub) => ({ authorization: `Bearer ${await token(tsid, sub)}` }),
    browser(session = sessionValue) {
      const browser = createBrowser(client);
      if (session !== null) browser.cookies.set(sessionCookie, session);
      return browser;
    },
    async call(headers, options = {}) {
      return pageOf(
        publicUrl,
        await client.check(
          httpRequest({ contextExtensions: { upstream: "crm" }, path: "/contacts", ...options, headers }),
        ),
      );
    },
    replica: start,
  };
}

/** The `connect_url` of a 401. */
export function connectUrlOf({ body }: Page): string | undefined {
  return (JSON.parse(body) as { connect_url?: string }).connect_url;
}

/** Whether an address is the provider's way back to us. */
export function isCallback(url: URL): boolean {
  return url.href.startsWith(`${prefix}callback`);
}
