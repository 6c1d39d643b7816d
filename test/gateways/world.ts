import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { atOnce } from "../e2e/tracing-world.ts";
import { type Answer, portOf, type SendOptions, send } from "../envoy/behind-envoy.ts";
import { type Environment, mappedConfig } from "../envoy/translated.ts";
import { createHttpBrowser, type HttpBrowser } from "../support/http-browser.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startKeyApi } from "../support/key-api.ts";
import { type McpServerProcess, scopeChallenge, startMcpServer } from "../support/mcp-server.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { type OtlpGrpcCollector, startOtlpGrpcCollector } from "../support/otlp-grpc-collector.ts";
import type { CollectedSpan } from "../support/otlp-spans.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";

/** What stands behind a gateway, and who comes to it. The gateway itself is started by what `startWorld` is given. */
export interface World {
  /** Where clients find the gateway, in the place of https://gateway.example.com. */
  readonly publicUrl: string;
  /** In the place of idp.example.com. */
  readonly provider: OidcServer;
  readonly crm: UpstreamApi;
  /** What crm thinks of tokens, beyond what their provider says. Under /crm/forbidden it takes none. */
  readonly opinion: { readonly rejected: Set<string>; before(): Promise<unknown> };
  readonly wiki: McpServerProcess;
  readonly service: RunningService;
  readonly traces: {
    /** What the gateway's tracer exports. */
    readonly gateway: OtlpGrpcCollector;
    /** Waits for the span of the Check in that trace. */
    check(trace: string): Promise<CollectedSpan>;
  };
  /** The headers of an agent with this session. */
  agent(session: string): Promise<Record<string, string>>;
  /** Stores a grant for the session's crm, whose access token is used up. */
  grant(session: string): Promise<void>;
  send(path: string, options?: SendOptions): Promise<Answer>;
  /** A browser whose user is approved wherever a login leads. */
  browser(): Pick<HttpBrowser, "visit" | "submit" | "cookie">;
}

/** Where a gateway finds what it names. */
export interface Places {
  /** Where it is to listen. */
  readonly port: number;
  readonly bearerswap: number;
  readonly crm: number;
  readonly wiki: number;
  /** The collector of its traces. */
  readonly collector: number;
}

/** How long the MCP server's stream says nothing: longer than Envoy's own limit of 15 s for a request. */
export const silenceMs = 17_000;

const user = "user-1";
/** What crm wants under /crm/needs, and bearerswap may ask for. Under /crm/invalid no token will do. */
const scope = "contacts.write";

/** Runs the configuration in the ConfigMap of that folder, with nothing replaced in it but addresses. */
export async function startWorld(
  { use, onStop }: Resources,
  environment: Environment,
  /** What clients call the gateway: Istio takes a name without a dot for another one, Envoy Gateway takes no address. */
  host: "localhost" | "127.0.0.1",
  startGateway: (places: Places, publicUrl: string) => Promise<unknown>,
): Promise<World> {
  const port = await freePort();
  const publicUrl = `http://${host}:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris, scopes: [scope] }));
  const as = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const keyApi = await use(startKeyApi());
  keyApi.good.add("Bearer a-key-of-mine");
  const opinion: World["opinion"] = { rejected: new Set(), before: async () => undefined };
  const crm = await use(
    startUpstreamApi({
      async accepts(token, path) {
        await opinion.before();
        return !opinion.rejected.has(token) && !path.startsWith("/crm/forbidden") && provider.isActive(token);
      },
      async refuses(token, path) {
        if (path.startsWith("/crm/invalid")) return { status: 400, headers: scopeChallenge(scope) };
        if (!path.startsWith("/crm/needs")) return undefined;
        const granted = (await provider.scopeOf(token))?.split(" ").includes(scope);
        return granted ? undefined : { status: 403, headers: scopeChallenge(scope) };
      },
    }),
  );
  const wiki = await use(startMcpServer({ accepts: provider.isActive, silenceMs }));
  const gateway = await use(startOtlpGrpcCollector());
  const collector = await use(startOtlpCollector());
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-gateway-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const admin = { kind: "unix", path: join(dir, "admin.sock") } as const;
  const text = moved(stringify(mappedConfig(environment)), publicUrl)
    .replaceAll("https://idp.example.com", provider.issuer)
    .replaceAll("https://as.example.com", as.issuer);
  const config = parse(text) as { readonly sessions: { readonly jwt?: object }[]; readonly upstreams: object };
  const [agents = {}, ...others] = config.sessions;
  const service = await use(
    startService({
      config: {
        ...config,
        listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${admin.path}` },
        sessions: [{ ...agents, jwt: { ...agents.jwt, jwks: keys.jwksUrl } }, ...others],
        store: {
          redis: { url: (await use(startRedis())).url },
          encryption: { keys: [{ id: "k1", key: "${env:SEALING}" }] },
        },
        telemetry: { otlp: { endpoint: collector.url } },
        upstreams: {
          ...config.upstreams,
          keys: { secret: { label: "Key", verify: { url: `${keyApi.url}/user` } } },
        },
      },
      env: {
        CRM_CLIENT_SECRET: provider.client.secret,
        AS_CLIENT_SECRET: as.client.secret,
        SEALING: newSealingKey(),
        ...atOnce,
      },
    }),
  );
  const places = { bearerswap: portOf(service.grpc), crm: crm.port, wiki: wiki.port, collector: gateway.port };
  await startGateway({ port, ...places }, publicUrl);

  return {
    publicUrl,
    provider,
    crm,
    opinion,
    wiki,
    service,
    traces: {
      gateway,
      check: (trace) => collector.span("the Check's span", (span) => span.trace === trace && span.kind === "server"),
    },
    async agent(session) {
      const jwt = await keys.sign({ iss: as.issuer, aud: publicUrl, tsid: session, sub: user });
      return { authorization: `Bearer ${jwt}` };
    },
    async grant(session) {
      const { refresh_token: refreshToken } = await provider.login({ account: user });
      const client = createGrantsClient({ address: admin });
      const token = { accessToken: "", refreshToken, tokenType: "", scope: "" };
      await client
        .put({ session: { source: "agents", id: session }, upstream: "crm", subject: user, token })
        .finally(client.close);
    },
    send: (path, options) =>
      send(port, path, undefined, { ...options, headers: { host: `${host}:${port}`, ...options?.headers } }),
    browser() {
      const { visit, submit, cookie } = createHttpBrowser();
      const asUser = (next: URL) => {
        if (next.pathname === "/auth") next.searchParams.set("login_hint", user);
      };
      return { cookie, submit, visit: (url) => visit(url, asUser) };
    },
  };
}

/** Where nobody listens, for a gateway that is only asked what it made of its resources. */
export async function unusedPlaces(): Promise<Places> {
  const [port = 0, bearerswap = 0, crm = 0, wiki = 0, collector = 0] = await Promise.all(
    Array.from({ length: 5 }, () => freePort()),
  );
  return { port, bearerswap, crm, wiki, collector };
}

/** A manifest or configuration whose gateway is at another address. */
export function moved(text: string, publicUrl: string): string {
  return text
    .replaceAll("https://gateway.example.com", publicUrl)
    .replaceAll("gateway.example.com", new URL(publicUrl).hostname);
}
