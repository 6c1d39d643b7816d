import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { httpRequest } from "../support/check-request.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { createHttpBrowser, type HttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { type IdJagProviderOptions, startIdJagProvider } from "../support/id-jag-provider.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import {
  type ResourceServerOptions,
  startResourceAuthorizationServer,
} from "../support/resource-authorization-server.ts";
import type { Resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { startService } from "../support/service.ts";
import { shiftedClock } from "../support/shifted-clock.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";
import { gatewayAudience, withReplicas } from "./minted-world.ts";

interface CrossAppWorldOptions {
  readonly idp?: Partial<IdJagProviderOptions>;
  readonly resource?: ResourceServerOptions;
  readonly replicas?: number;
  readonly crossApp?: object;
  readonly mcp?: boolean;
  readonly heals?: boolean;
  /** In place of Redis. */
  readonly memory?: boolean;
  /** More of the agents' source. */
  readonly jwt?: object;
  readonly encryption?: object;
  readonly env?: Readonly<Record<string, string>>;
  /** More upstreams. */
  readonly others?: (idp: object) => object;
}

export const apiUrl = "https://api.chat.example";
const prefix = "/_bearerswap/";

/**
 * A real Envoy before replicas on one real Redis. Users log in at `idp`; `chat` is an API whose own authorization
 * server takes what that one says of them. Browsers have sessions of ours, agents a JWT.
 */
export async function startCrossAppWorld(use: Resources, options: CrossAppWorldOptions = {}) {
  const { replicas = 1, crossApp = {}, mcp = false, heals = false, encryption } = options;
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-cross-app-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  // Held until Envoy takes it: a connection of another server may be given a port that is only free.
  const place = await startHttpServer(() => {});
  const { port } = place;
  const publicUrl = `http://127.0.0.1:${port}`;
  const resource = await use.use(startResourceAuthorizationServer(options.resource));
  const idp = await use.use(
    startIdJagProvider({
      ...{ resourceClients: { [resource.issuer]: resource.client.id }, accessTokenLifeSeconds: 600 },
      redirectUris: [`${publicUrl}${prefix}callback`],
      ...options.idp,
    }),
  );
  resource.trust(idp.issuer);
  const agents = await use.use(startJwtIssuer());
  const redis = await use.use(startRedis());
  const api = await use.use(startUpstreamApi({ accepts: resource.isActive }));
  const env = { ...options.env, REDIS: redis.url, IDP: idp.client.secret, CHAT: resource.client.secret };
  const idpUpstream = {
    ...{ issuer: idp.issuer, clientId: idp.client.id, clientSecret: "${env:IDP}", displayName: "Example ID" },
    connect: { scope: "openid offline_access", parameters: { prompt: "consent" } },
  };
  const encrypted = encryption === undefined ? {} : { encryption };
  const replica = (at: number) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, `admin-${at}.sock`)}` },
    sessions: [
      {
        name: "agents",
        jwt: { issuer: agents.issuer, audience: gatewayAudience, claim: "sub", subject: "sub", ...options.jwt },
      },
      { cookie: { issue: true } },
    ],
    store: options.memory ? { memory: {} } : { redis: { url: "${env:REDIS}" }, ...encrypted },
    ...(heals ? { heal: {} } : {}),
    connect: { publicUrl, login: { agents: { clientId: "gateway", clientSecret: "${env:IDP}" } } },
    upstreams: {
      idp: idpUpstream,
      ...options.others?.(idpUpstream),
      chat: {
        ...{ issuer: resource.issuer, clientId: resource.client.id, clientSecret: "${env:CHAT}" },
        crossApp: { identity: "idp", resource: apiUrl, scope: "chat.read", ...crossApp },
      },
    },
  });
  const services = await Promise.all(
    Array.from({ length: replicas }, (_, at) => use.use(startService({ config: replica(at), env, clock }))),
  );
  const mcpRoute = {
    contextExtensions: { mcp: "true" },
    checkSettings: { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } },
  };
  const setup = { service: services[0]?.grpc ?? "", upstreamPort: api.port, upstream: "chat", port, heals };
  await place.stop();
  await use.use(startEnvoy({ config: withReplicas(envoyConfig({ ...setup, ...(mcp ? mcpRoute : {}) }), services) }));
  const admin = await use.use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin-0.sock") } }));
  const visit = (browser: HttpBrowser, path: string, user = "ann"): Promise<ShownPage> =>
    browser.visit(`${publicUrl}${path}`, (url) => {
      if (url.pathname === "/auth") url.searchParams.set("login_hint", user);
    });
  const sessionCookie = (browser: HttpBrowser) => browser.cookie(publicUrl, "__Host-bearerswap") ?? "";

  return {
    ...{ clock, publicUrl, idp, resource, agents, redis, api, services, admin, visit },
    /** A browser whose user has logged in at the identity provider on the way to the API. */
    async loggedIn(user = "ann"): Promise<HttpBrowser> {
      const browser = createHttpBrowser();
      const page = await visit(browser, "/messages", user);
      if (page.status !== 200) throw new Error(`the API answered ${page.status}: ${page.body}`);
      return browser;
    },
    /** A request of the browser's session by a script, which is no navigation. */
    send: (browser: HttpBrowser, init: RequestInit = {}) =>
      fetch(`${publicUrl}/messages`, { ...init, headers: { cookie: `__Host-bearerswap=${sessionCookie(browser)}` } }),
    sessionOf: (browser: HttpBrowser) => sessionCookie(browser),
    /** Stores a login of the user at the identity provider for the user's agents, as an administrator does. */
    async putLogin(sub: string, upstream = "idp"): Promise<string> {
      const { refresh_token: refreshToken = "" } = await idp.login({ account: sub });
      const token = { refreshToken, accessToken: "", tokenType: "Bearer", scope: "" };
      await admin.put({ session: { source: "agents", id: sub }, upstream, subject: sub, token });
      return refreshToken;
    },
    /** A Check of an agent's request for several upstreams. */
    async checkAs(sub: string, contextExtensions: Record<string, string>) {
      const client = await use.use(createExtAuthzClient(services[0]?.grpc ?? ""));
      const jwt = await agents.sign({ aud: gatewayAudience, sub });
      const headers = { authorization: `Bearer ${jwt}` };
      return answerOf(await client.check(httpRequest({ headers, contextExtensions })));
    },
    /** An agent's request, for a user. */
    async sendAs(sub: string, init: RequestInit = {}): Promise<Response> {
      const jwt = await agents.sign({ aud: gatewayAudience, sub }, { expiresIn: 86_400 });
      return fetch(`${publicUrl}/messages`, {
        ...init,
        headers: { ...(init.headers as Record<string, string>), authorization: `Bearer ${jwt}` },
      });
    },
    /** Whose tokens the API has got, oldest first. */
    usersAtApi: () =>
      api.requests.map(({ headers }) => resource.claimsOf(headers.authorization?.slice("Bearer ".length) ?? "")?.sub),
    /** The API's administrator ends the token that the API got last. */
    endLast() {
      resource.end(api.requests.at(-1)?.headers.authorization?.slice("Bearer ".length) ?? "");
    },
    /** The agents' issuer tells the first replica that the user has logged out. */
    async logOut(sub: string): Promise<number> {
      const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
      const claims = { aud: gatewayAudience, jti: randomUUID(), sub, events };
      const token = await agents.sign(claims, { typ: "logout+jwt" });
      const http = services[0]?.listening.http;
      if (http?.kind !== "tcp") throw new Error("no HTTP listener");
      const body = new URLSearchParams({ logout_token: token });
      return (await fetch(`http://${http.host}:${http.port}/backchannel-logout`, { method: "POST", body })).status;
    },
    /** How often each step was asked for. */
    calls: () => [idp.exchanges.length, resource.attempts.length],
  };
}

export type CrossAppWorld = Awaited<ReturnType<typeof startCrossAppWorld>>;

export const idpLogin = ({ publicUrl }: CrossAppWorld) => `${publicUrl}${prefix}connect/idp`;

/** Status and reason of a denial. */
export async function answered(response: Response): Promise<unknown[]> {
  const { reason } = (await response.json()) as { reason?: string };
  return [response.status, reason];
}
