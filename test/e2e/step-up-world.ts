import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser, type HttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { sendJson, startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { scopeChallenge, startMcpServer } from "../support/mcp-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { shiftedClock } from "../support/shifted-clock.ts";

/** What users may be asked for; the provider knows `admin` as well. */
const scopes = ["contacts.write", "notes.write"];

/**
 * The real Envoy with the filters of envoy-heal.yaml in front of an API, or an MCP server, that wants scopes; browsers
 * have sessions of ours, MCP clients a JWT.
 *
 * @param http2 Envoy speaks HTTP/2 to the API
 * @param byUrl the MCP server is known by its URL alone; its client registers itself
 */
export async function startStepUpWorld({ use }: Resources, { mcp: isMcp = false, byUrl = false, http2 = false } = {}) {
  const clock = shiftedClock();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const mcpPort = await freePort();
  const mcpUrl = `http://127.0.0.1:${mcpPort}/mcp`;
  const known = byUrl ? { registers: true, resources: [mcpUrl] } : {};
  const life = { accessTokenLifeSeconds: 86_400, redirectUris, asksUsers: true, ...known };
  const provider = await use(startOidcServer({ ...life, scopes: [...scopes, "admin"] }));
  const as = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const api = { before: async (): Promise<unknown> => undefined };
  const scopeOf = async (token: string) => (await provider.scopeOf(token))?.split(" ") ?? [];
  const upstream = isMcp
    ? await use(
        startMcpServer({
          ...(byUrl ? { port: mcpPort, issuer: provider.issuer, scopes: ["mcp"] } : {}),
          accepts: provider.isActive,
          lacks: async (token, message) =>
            message.includes("tools/call") && !(await scopeOf(token)).includes("contacts.write")
              ? "contacts.write"
              : undefined,
        }),
      )
    : await use(startWantingApi(api, scopeOf));
  const client = { clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const connect = { scope: "openid offline_access", parameters: { prompt: "consent" } };
  const jwt = { issuer: as.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub" };
  const crm = byUrl ? { mcp: mcpUrl } : { issuer: provider.issuer, ...client, connect };
  const config = {
    sessions: [{ jwt }, { cookie: { issue: true } }],
    upstreams: { crm, wiki: { issuer: provider.issuer, ...client, connect } },
    connect: {
      publicUrl,
      login: { jwt: { clientId: as.client.id, clientSecret: "${env:SECRET}" } },
      stepUp: { scopes },
      assumeUrlElicitation: true,
    },
    heal: {},
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret }, clock }));
  const mcpRoute = {
    contextExtensions: { mcp: "true" },
    checkSettings: { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } },
  };
  const setup = {
    service: service.grpc,
    upstreamPort: upstream.port,
    upstream: "crm",
    port,
    heals: true,
    upstreamHttp2: http2,
  };
  const envoy = await use(startEnvoy({ config: envoyConfig({ ...setup, ...(isMcp ? mcpRoute : {}) }) }));
  /** Of the second upstream, with the same API behind it. */
  const startWiki = async () => {
    const wikiPort = await freePort();
    await use(startEnvoy({ config: envoyConfig({ ...setup, upstream: "wiki", port: wikiPort }) }));
    return `http://127.0.0.1:${wikiPort}`;
  };

  return {
    ...{ clock, publicUrl, provider, keys, service, envoy, api, startWiki, mcpUrl },
    /** A browser that is sent to a login continues as this user. */
    visit: (browser: HttpBrowser, url: string, user = "user-1") =>
      browser.visit(new URL(url, publicUrl).href, as_(user)),
    /** Another user than Envoy's client: no login hint, so that the provider shows its page. */
    visitUnasked: (browser: HttpBrowser, url: string): Promise<ShownPage> =>
      browser.visit(new URL(url, publicUrl).href),
    /** A browser whose account is connected, and which the API has answered. */
    async connected(user = "user-1"): Promise<HttpBrowser> {
      const browser = createHttpBrowser();
      const page = await browser.visit(`${publicUrl}/contacts`, as_(user));
      if (page.status !== 200) throw new Error(`the API answered ${page.status}: ${page.body}`);
      return browser;
    },
    /** A request of the browser's session by a script, which is no navigation. */
    fetchAs: (browser: HttpBrowser, path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(new URL(path, publicUrl), {
        ...init,
        headers: { cookie: `__Host-bearerswap=${browser.cookie(publicUrl, "__Host-bearerswap")}` },
      }),
    authorizationOf: async (session: string) =>
      `Bearer ${await keys.sign({ iss: as.issuer, aud: "gateway", tsid: session, sub: "user-1" }, { expiresIn: 86_400 })}`,
    /** The streams that Envoy has opened to bearerswap for responses and retries. */
    async streams(): Promise<number> {
      const text = await (await fetch(`${envoy.adminUrl}/stats?filter=ext_proc.streams_started`)).text();
      return [...text.matchAll(/: (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
    },
  };
}

export type StepUpWorld = Awaited<ReturnType<typeof startStepUpWorld>>;

/** Picks the account at every provider on the way. */
function as_(user: string): (url: URL) => void {
  return (url) => {
    if (url.pathname === "/auth") url.searchParams.set("login_hint", user);
  };
}

/** As a vendor may write it. */
const challengeLines = [
  ...["WWW-Authenticate", 'Basic realm="a, Bearer error="'],
  ...["Www-Authenticate", 'bEARER Error="insufficient_scope", SCOPE="contacts.write"'],
  ...["WWW-AUTHENTICATE", 'DPoP resource_metadata="https://vendor.example"'],
];

/** Each path names the scope that it wants: `/needs/<scope>`. `/stubborn` wants more of whatever token comes. */
async function startWantingApi(
  api: { readonly before: () => Promise<unknown> },
  scopeOf: (token: string) => Promise<readonly string[]>,
) {
  return startHttpServer(async (request, response) => {
    const [, kind = "", wanted = ""] = decodeURIComponent(request.url ?? "").split("/");
    const scopes = await scopeOf(request.headers.authorization?.slice("Bearer ".length) ?? "");
    await api.before();
    if (scopes.length === 0) return sendJson(response, 401, {}, { "www-authenticate": 'Bearer error="invalid_token"' });
    if (kind === "forbidden") return sendJson(response, 403, { vendor: "no" });
    if (kind === "elsewhere")
      return sendJson(response, 403, { vendor: "no" }, { "www-authenticate": 'Bearer resource_metadata="https://v"' });
    if (kind === "lines") return response.writeHead(403, [...challengeLines]).end();
    if (kind === "events") {
      response.writeHead(403, { "content-type": "text/event-stream", ...scopeChallenge("contacts.write") });
      return response.write(": and no end\n\n");
    }
    if (kind === "long") return sendJson(response, 403, {}, scopeChallenge(`${"x ".repeat(25_000)}notes.write`));
    if (kind === "stubborn") return sendJson(response, 403, { vendor: "more" }, scopeChallenge("contacts.write"));
    if (kind !== "needs" || wanted.split(" ").every((scope) => scopes.includes(scope)))
      return sendJson(response, 200, { scopes });
    return sendJson(response, 403, { vendor: "more" }, scopeChallenge(wanted));
  });
}
