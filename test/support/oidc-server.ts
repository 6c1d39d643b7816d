import { randomBytes, randomUUID } from "node:crypto";
import { type CryptoKey, exportJWK } from "jose";
import Provider, { errors } from "oidc-provider";
import { fetchDocumentsAt } from "./client-documents.ts";
import { type HttpRequest, type HttpResponse, startHttpServer } from "./http-servers.ts";
import { nextKeyPair } from "./key-pairs.ts";
import { mcpIssuerConfiguration } from "./mcp-issuer.ts";
import { createOidcAdapter } from "./oidc-adapter.ts";
import { createOidcFaults, type OidcFaults } from "./oidc-faults.ts";
import { approveUnasked, askUser } from "./oidc-interaction.ts";
import { loginByCode, type OidcClient, type OidcTokens, postForm } from "./oidc-login.ts";

export interface OidcServerOptions {
  /** Known beside `client` and `postClient`. */
  readonly clients?: readonly OidcClient[];
  /** Default 5. The provider counts whole seconds, so up to one second less is left. */
  readonly accessTokenLifeSeconds?: number;
  /** Default 14 days. */
  readonly refreshTokenLifeSeconds?: number;
  /** A used refresh token is accepted again for so long after its first use. Default 0: its reuse revokes the grant. */
  readonly reuseGraceMs?: number;
  /** Where clients may be sent back to, beside the one that `login` uses. */
  readonly redirectUris?: readonly string[];
  /** Shows a login page to users who come without `login_hint`. Default false: every user is approved unasked. */
  readonly asksUsers?: boolean;
  readonly port?: number;
  /** Where the provider posts its logout tokens; nowhere by default. */
  readonly backchannelLogoutUri?: string;
  /** Clients may register themselves (RFC 7591). Default false. */
  readonly registers?: boolean;
  /**
   * Client ids may be https URLs of metadata documents. They are fetched from this server, whatever host they name.
   * Default: they may not.
   */
  readonly clientDocumentsAt?: string;
  /** Every client has a secret. Default false: those that want none may have none. */
  readonly onlyConfidential?: boolean;
  /** What access tokens may be asked for (RFC 8707). Without any, `resource` is refused. */
  readonly resources?: readonly string[];
  /** Scopes that it knows beside its own. */
  readonly scopes?: readonly string[];
  /** Clients may get tokens for themselves, with the scope `api`. Default: they may not. */
  readonly clientCredentials?: boolean;
  /** More grant types: their names, what registers them, and the key (RS256) that signs, here and there. */
  readonly more?: { grantTypes: readonly string[]; extend: (provider: Provider) => void; signingKey: CryptoKey };
  /** Makes it the session issuer of this MCP server; see {@link mcpIssuerConfiguration}. */
  readonly mcpResource?: string;
}

/** A client that has registered itself, as the provider answered it. */
export interface RegisteredClient {
  readonly client_id: string;
  readonly redirect_uris: readonly string[];
  readonly [name: string]: unknown;
}

export interface TokenOutcome {
  readonly grantType: string;
  readonly status: number;
  /** The OAuth error code, where the provider gave one. */
  readonly error?: string;
}

export interface OidcQuestion {
  readonly client: string;
  /** To log in, or to consent. */
  readonly prompt: "login" | "consent";
}

export interface LoginOptions {
  readonly client?: OidcClient;
  /** Becomes the `sub` claim; default user-1. */
  readonly account?: string;
  /** Default: openid offline_access. */
  readonly scope?: string;
}

export interface OidcServer extends OidcFaults {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  readonly port: number;
  /** Authenticates by client_secret_basic. */
  readonly client: OidcClient;
  /** Authenticates by client_secret_post. */
  readonly postClient: OidcClient;
  /** Token requests that arrived, logins included. */
  readonly tokenRequests: number;
  /** Answers of the token endpoint, oldest first; those that were lost on the way too. */
  readonly outcomes: TokenOutcome[];
  /** The ID tokens that were handed out, oldest first. */
  readonly idTokens: readonly string[];
  /** Names of the clients that users were sent back to with a code, oldest first. */
  readonly authorizations: readonly string[];
  /** What users were asked, oldest first. */
  readonly questions: readonly OidcQuestion[];
  /** The outcomes of refreshes alone. */
  refreshes(): readonly TokenOutcome[];
  login(options?: LoginOptions): Promise<OidcTokens>;
  /** Refreshes by hand, for tests of the server and for playing the thief. */
  refresh(refreshToken: string, client?: OidcClient): Promise<Response>;
  /** Ends the grant behind a refresh token, by RFC 7009. */
  revoke(refreshToken: string, client?: OidcClient): Promise<void>;
  isActive(accessToken: string): Promise<boolean>;
  /** Whether a client got it for itself, with the scope `api`. */
  isOwn(accessToken: string): Promise<boolean>;
  /** Whose token it is; undefined for one that is not active. */
  accountOf(accessToken: string): Promise<string | undefined>;
  /** What a token was granted; undefined for one that is not active. */
  scopeOf(accessToken: string): Promise<string | undefined>;
  /** The resource that an active token is for; undefined for one that was asked for without. */
  audienceOf(accessToken: string): Promise<string | undefined>;
  /** Clients that have registered themselves, oldest first; those that were forgotten too. */
  readonly registered: readonly RegisteredClient[];
  /** Knows a registered client no longer: what it sends is refused as `invalid_client`. */
  forget(clientId: string): Promise<void>;
  /** Sends the client a logout token for one session of a user; rejects unless it is answered 200. */
  endSession(account: string, sid: string): Promise<void>;
  stop(): Promise<void>;
}

/** What every resource here knows, beside the provider's own scopes. */
export const resourceScope = "mcp";
const redirectUri = "http://127.0.0.1:1/callback";
const client: OidcClient = { id: "gateway", secret: "gateway-secret", method: "client_secret_basic" };
const postClient: OidcClient = { id: "gateway-post", secret: "gateway-post-secret", method: "client_secret_post" };

/** A real OpenID provider with short-lived access tokens and rotating refresh tokens, whose reuse revokes the grant. */
export async function startOidcServer(options: OidcServerOptions = {}): Promise<OidcServer> {
  const outcomes: TokenOutcome[] = [];
  const idTokens: string[] = [];
  const authorizations: string[] = [];
  const questions: OidcQuestion[] = [];
  let tokenRequests = 0;
  let handle = (_request: HttpRequest, _response: HttpResponse): unknown => undefined;
  const { port = 0, asksUsers = false } = options;
  const interact = asksUsers ? askUser : approveUnasked;
  const server = await startHttpServer((request, response) => handle(request, response), { port });
  const issuer = server.url;
  const adapter = createOidcAdapter(options);
  const provider = new Provider(issuer, { ...(await configurationOf(options)), adapter });
  options.more?.extend(provider);
  const registered: RegisteredClient[] = [];
  const accountOf = async (accessToken: string) => (await provider.AccessToken.find(accessToken))?.accountId;
  const passOn = provider.callback();
  const { handle: handleToken, ...faults } = createOidcFaults(passOn, ({ status }, grantType) =>
    outcomes.push({ grantType, status }),
  );

  provider.on("grant.success", ({ oidc, body }) => {
    outcomes.push({ grantType: oidc.params?.grant_type ?? "", status: 200 });
    if (typeof body?.id_token === "string") idTokens.push(body.id_token);
  });
  provider.on("grant.error", ({ oidc }, { error = "", statusCode = 500 }) => {
    outcomes.push({ grantType: oidc.params?.grant_type ?? "", status: statusCode, error });
  });
  provider.on("registration_create.success", ({ body }) => registered.push(body as RegisteredClient));
  provider.on("authorization.success", ({ oidc }) =>
    authorizations.push(oidc.client?.clientName ?? oidc.client?.clientId ?? ""),
  );
  const ask = async (request: HttpRequest, response: HttpResponse) => {
    const { params, prompt } = await provider.interactionDetails(request, response);
    const asker = await provider.Client.find(params.client_id);
    if (request.method === "GET")
      questions.push({ client: asker?.clientName ?? params.client_id, prompt: prompt.name });
    await interact(provider, request, response);
  };
  handle = (request, response) => {
    if (request.url?.startsWith("/interaction/")) return ask(request, response);
    if (request.url !== "/token") return passOn(request, response);
    tokenRequests++;
    return handleToken(request, response);
  };

  return {
    ...faults,
    issuer,
    tokenEndpoint: `${issuer}/token`,
    port: server.port,
    client,
    postClient,
    get tokenRequests() {
      return tokenRequests;
    },
    outcomes,
    idTokens,
    authorizations,
    questions,
    refreshes: () => outcomes.filter(({ grantType }) => grantType === "refresh_token"),
    login: ({ account = "user-1", scope = "openid offline_access", client: as = client } = {}) =>
      loginByCode({ issuer, client: as, redirectUri, account, scope }),
    refresh: (refreshToken, as = client) =>
      postForm(`${issuer}/token`, as, { grant_type: "refresh_token", refresh_token: refreshToken }),
    async revoke(refreshToken, as = client) {
      const response = await postForm(`${issuer}/token/revocation`, as, { token: refreshToken });
      if (!response.ok) throw new Error(`revocation was refused: ${await response.text()}`);
    },
    isActive: async (accessToken) => (await accountOf(accessToken)) !== undefined,
    isOwn: async (accessToken) => (await provider.ClientCredentials.find(accessToken))?.scope === "api",
    accountOf,
    scopeOf: async (accessToken) => (await provider.AccessToken.find(accessToken))?.scope,
    audienceOf: async (accessToken) => (await provider.AccessToken.find(accessToken))?.aud,
    registered,
    forget: (clientId) => adapter("Client").destroy(clientId),
    endSession: async (account, sid) => (await provider.Client.find(client.id))?.backchannelLogout(account, sid),
    stop: server.stop,
  };
}

/** Says all that the package would else warn about on the console. */
async function configurationOf({
  accessTokenLifeSeconds = 5,
  refreshTokenLifeSeconds = 14 * 86_400,
  redirectUris = [],
  clients = [],
  backchannelLogoutUri,
  registers = false,
  onlyConfidential = false,
  clientDocumentsAt,
  resources = [],
  scopes = [],
  clientCredentials = false,
  mcpResource,
  more,
}: OidcServerOptions) {
  const privateKey = more?.signingKey ?? (await nextKeyPair("RS256")).privateKey;
  const registered = {
    redirect_uris: [redirectUri, ...redirectUris],
    grant_types: [
      "authorization_code",
      "refresh_token",
      ...(clientCredentials ? ["client_credentials"] : []),
      ...(more?.grantTypes ?? []),
    ],
  };
  const logout =
    backchannelLogoutUri === undefined
      ? {}
      : { backchannel_logout_uri: backchannelLogoutUri, backchannel_logout_session_required: true };
  const hour = 3600;
  const { features, ...mcp } = mcpResource === undefined ? {} : mcpIssuerConfiguration(mcpResource, client.id);
  return {
    clients: [client, postClient, ...clients].map(({ id, secret, method }) => ({
      client_id: id,
      client_secret: secret,
      token_endpoint_auth_method: method,
      ...registered,
      ...logout,
    })),
    ...(onlyConfidential ? { clientAuthMethods: ["client_secret_basic", "client_secret_post"] } : {}),
    cookies: { keys: [randomBytes(16).toString("hex")] },
    features: {
      clientCredentials: { enabled: clientCredentials },
      backchannelLogout: { enabled: backchannelLogoutUri !== undefined },
      ...(clientDocumentsAt === undefined ? {} : { clientIdMetadataDocument: { enabled: true, ack: "draft-02" } }),
      devInteractions: { enabled: false },
      registration: { enabled: registers },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_ctx: unknown, resource: string) {
          if (!resources.includes(resource)) throw new errors.InvalidTarget();
          return {
            scope: [resourceScope, ...scopes].join(" "),
            accessTokenFormat: "opaque",
            accessTokenTTL: accessTokenLifeSeconds,
          };
        },
        // A code or a refresh token that was granted for a resource gives tokens for it also where the request does not
        // name it again.
        useGrantedResource: () => true,
      },
      revocation: { enabled: true, allowedPolicy: async () => true },
      rpInitiatedLogout: { enabled: false },
      ...features,
    },
    // The package's own way to fetch refuses loopback, where the tests are.
    fetch: (url: string, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown }) =>
      clientDocumentsAt !== undefined && url.startsWith("https://")
        ? fetchDocumentsAt(clientDocumentsAt)(url)
        : globalThis.fetch(url, init),
    claims: { openid: ["sub", "once"] },
    // Without `once`, ID tokens of the same second would be equal.
    findAccount: async (_ctx: unknown, sub: string) => ({
      accountId: sub,
      claims: async () => ({ sub, once: randomUUID() }),
    }),
    interactions: { url: (_ctx: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    scopes: ["openid", "offline_access", resourceScope, ...(clientCredentials ? ["api"] : []), ...scopes],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), use: "sig", alg: "RS256" }] },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: accessTokenLifeSeconds,
      ClientCredentials: accessTokenLifeSeconds,
      RefreshToken: refreshTokenLifeSeconds,
      IdToken: hour,
      Interaction: hour,
      Session: hour,
      Grant: refreshTokenLifeSeconds,
    },
    ...mcp,
  };
}
