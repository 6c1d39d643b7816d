import type { BoundClient } from "../platform/bound-client.ts";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { Secret } from "../platform/secret.ts";
import { createClientRefusals } from "./client-refusals.ts";
import type { CodeFlow, Login } from "./code-flow.ts";
import { createMcpClients, type UsableClient } from "./mcp-clients.ts";
import { discoverMcpServer, type McpServer } from "./mcp-discovery.ts";
import { findIssuer, type IssuerMetadata } from "./mcp-issuer.ts";
import { createMcpMetadata } from "./mcp-metadata.ts";
import { createMcpServerClient, type LoginProvider, type McpServerConfig } from "./mcp-server-client.ts";
import type { RegistrationMetrics, RevocationEnding } from "./metrics.ts";
import { isClientRefusal, type RefreshOutcome } from "./outcome.ts";
import type { OwnClient } from "./own-client.ts";
import type { Provider, RefreshRequest } from "./provider.ts";
import { type Registration, requestRegistration } from "./registration-request.ts";
import { type ClientRecords, createRegistrations } from "./registrations.ts";

/** With the client that is configured, if one is. */
export interface McpProviderConfig extends McpServerConfig, Pick<UsableClient, "clientAuth"> {
  readonly clientId: string | undefined;
  /** The only one of the MCP server's issuers that is used. */
  readonly issuer?: string | undefined;
}

export interface McpProviderDeps {
  readonly upstream: string;
  readonly config: McpProviderConfig;
  readonly own: OwnClient;
  readonly records: ClientRecords;
  /** Connects to public addresses, and to the configured server. */
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: RegistrationMetrics;
  readonly onRevocation: (ending: RevocationEnding) => void;
}

/** Of one request of a discovery, ms. */
const discoveryTimeoutMs = 4_000;

/**
 * The provider of an MCP server that is known by its URL: what it takes to log in there is found out when the first
 * user wants to. A grant is refreshed and ended at the issuer that it is of, with the client that it was made with.
 */
export function createMcpProvider(deps: McpProviderDeps): Provider {
  const { upstream, config, own, records, fetch, clock, random, log, metrics, onRevocation } = deps;
  const { mcp: url, issuer: only, allowInsecure, clientId, clientAuth } = config;
  const discovery = { fetch, only, allowInsecure, timeoutMs: discoveryTimeoutMs };
  const metadata = createMcpMetadata({ discover: (issuer) => discoverMcpServer(url, { ...discovery, issuer }), clock });
  const registrations = createRegistrations({ upstream, own, records, register, clock, random });
  const configured = clientId === undefined ? undefined : { clientId, clientAuth };
  const clients = createMcpClients({ upstream, configured, own, allowInsecure, registrations });
  const refusals = createClientRefusals(clock);
  /** Questions under way to servers whether they know a client. Anybody may begin logins: all of them share one. */
  const asking = new Map<string, Promise<boolean>>();
  /** What openid-client knows of a server is kept as long as nothing about the server changes. */
  const made = new WeakMap<McpServer, Map<string, LoginProvider>>();

  return {
    refreshTokenLifeMs: config.refreshTokenLifeMs,
    killsOldAccess: config.killsOldAccess,
    accessTokenLifeMs: config.accessTokenLifeMs,
    maxConcurrency: config.maxConcurrency,
    graceMs: config.graceMs,
    neverRotates: config.neverRotates,
    login: { hasOwnRedirect: true, prepare, scopes, authorizationUrl, redeem },
    refresh,
    revoke,
  };

  async function prepare(): Promise<BoundClient> {
    const server = await metadata.current();
    return { ...(await clientFor(server)), resource: server.resource };
  }

  async function clientFor(server: McpServer): Promise<BoundClient> {
    const client = await clients.forLogin(server.metadata, refusals.isForgotten);
    if (client.method === undefined || refusals.isKnown(client)) return client;
    // A server shows users an error page of its own where it does not know the client: they would not come back.
    const isGone = await isUnknown(server, client);
    if (!isGone) return client;
    const isTheOne = ({ id }: BoundClient) => id === client.id;
    return clients.forLogin(server.metadata, (other) => isTheOne(other) || refusals.isForgotten(other));
  }

  /** Those of the server that the grant is of. Where it cannot be asked they are not known. */
  async function scopes(client: BoundClient | undefined): Promise<readonly string[]> {
    try {
      return await (await flowOf({ client })).flow.scopes(client);
    } catch {
      return [];
    }
  }

  async function authorizationUrl(login: Login): Promise<string> {
    const { flow } = await flowOf(login);
    return flow.authorizationUrl(login);
  }

  async function redeem(callback: URL, login: Login): ReturnType<CodeFlow["redeem"]> {
    try {
      const { flow, client } = await flowOf(login);
      const outcome = await flow.redeem(callback, login);
      const isRefused = outcome.kind === "failed" && outcome.isClientRefused;
      if (isRefused || (outcome.kind === "denied" && refusalsOfClients.has(outcome.error))) refusals.refused(client);
      if (outcome.kind === "tokens") refusals.accepted(client);
      return outcome;
    } catch (error) {
      return { kind: "failed", why: messageOf(error) };
    }
  }

  async function flowOf({
    client,
  }: Pick<Login, "client">): Promise<{ readonly flow: CodeFlow; readonly client: BoundClient }> {
    const server = client && (await metadata.at(client.issuer));
    const provider = server && client && providerOf(server, client);
    if (provider === undefined || client === undefined)
      throw new BearerswapError("discovery", `${url} no longer names the issuer ${client?.issuer}: begin again`);
    return { flow: provider.login, client };
  }

  async function refresh(request: RefreshRequest): Promise<RefreshOutcome> {
    let server: McpServer | undefined;
    let client: BoundClient | undefined;
    try {
      client = request.client ?? (await pinned());
      server = client && ((await metadata.at(client.issuer)) ?? (await unnamed(client.issuer)));
    } catch (error) {
      return { kind: "transient", why: `discovery failed: ${messageOf(error)}` };
    }
    if (client === undefined) return { kind: "misconfigured", why: "issuer_unknown", advice: wantsIssuer };
    if (server === undefined) return { kind: "refused", why: "issuer_changed", description: atAnother(client) };
    const provider = providerOf(server, client);
    if (provider === undefined) return { kind: "misconfigured", why: "client_key_missing", advice: wantsKey };
    const outcome = await provider.refresh(request);
    if (outcome.kind === "tokens" || outcome.kind === "refused") refusals.accepted(client);
    if (!isClientRefusal(outcome)) return outcome;
    refusals.refused(client);
    const isLost = clients.isReplaceable(client) && refusals.isForgotten(client);
    return isLost ? { kind: "refused", why: "client_forgotten", description: isForgotten(client) } : outcome;
  }

  async function revoke(token: Secret, accessToken?: Secret, bound?: BoundClient): Promise<string | undefined> {
    try {
      const client = bound ?? (await pinned());
      const server = client && ((await metadata.at(client.issuer)) ?? (await former(client.issuer)));
      const provider = client && server && providerOf(server, client);
      if (provider !== undefined) return await provider.revoke(token, accessToken);
      onRevocation("none");
      return "it is not known any more with which client the provider could be asked";
    } catch (error) {
      onRevocation("unconfirmed");
      return messageOf(error);
    }
  }

  /** A grant that was put says not of which issuer it is: then it is of the only one that is used. */
  async function pinned(): Promise<BoundClient | undefined> {
    const client = only === undefined ? undefined : clients.configuredAt(only);
    return client && { ...client, resource: (await metadata.current()).resource };
  }

  /** A grant is of its issuer, whatever the MCP server says: for an hour nothing but the issuer itself can end it. */
  async function unnamed(issuer: string): Promise<McpServer | undefined> {
    return metadata.isGone(issuer) ? undefined : former(issuer);
  }

  /** An issuer that the MCP server names no more still refreshes and ends its tokens. */
  async function former(issuer: string): Promise<McpServer> {
    const request = { ...discovery, signal: AbortSignal.timeout(2 * discoveryTimeoutMs) };
    const found = await findIssuer(issuer, { configured: url, allowInsecure }, request);
    if ("metadata" in found) return { metadata: found.metadata, misses: [] };
    throw new BearerswapError("discovery", found.misses.join("; "));
  }

  /** Undefined where what the client takes is configured no more. */
  function providerOf(server: McpServer, client: BoundClient): LoginProvider | undefined {
    const usable = clients.usable(client);
    if (usable === undefined) return undefined;
    const providers = made.get(server) ?? new Map<string, LoginProvider>();
    made.set(server, providers);
    const secret = "secret" in usable.clientAuth ? usable.clientAuth.secret.reveal() : "";
    const { resource } = client;
    const key = digestOf(usable.clientId, usable.clientAuth.method, secret, resource ?? "");
    const { issuer } = server.metadata;
    const discover = async (isAgain: boolean) => (isAgain ? await metadata.again(issuer) : server) ?? server;
    const parts = { config, fetch, clock, discover, onRevocation };
    const provider = providers.get(key) ?? createMcpServerClient(server, { ...usable, resource }, parts);
    providers.set(key, provider);
    return provider;
  }

  function isUnknown(server: McpServer, client: BoundClient): Promise<boolean> {
    const key = digestOf(client.issuer, client.id);
    const answer = asking.get(key) ?? showMadeUpToken(server, client).finally(() => asking.delete(key));
    asking.set(key, answer);
    return answer;
  }

  /** Shows the server a refresh token that cannot exist, twice: one that knows the client refuses the token instead. */
  async function showMadeUpToken(server: McpServer, client: BoundClient): Promise<boolean> {
    for (let tries = 0; tries < 2; tries++) {
      const refreshToken = new Secret(`bearerswap-check-${random.id()}`);
      const outcome = await providerOf(server, client)?.refresh({ refreshToken, beforeSend: () => true });
      if (outcome?.kind === "refused") refusals.accepted(client);
      if (outcome === undefined || !isClientRefusal(outcome)) return false;
      refusals.refused(client);
    }
    return true;
  }

  async function register(server: IssuerMetadata): Promise<Registration> {
    const about = { upstream, issuer: server.issuer };
    try {
      const registration = await requestRegistration(server, { own, upstream, fetch });
      const { client } = registration;
      refusals.accepted(client);
      metrics.registration(upstream, "registered");
      log.info(
        { event: "client_registered", ...about, clientId: client.id, method: client.method },
        "our client was registered at an authorization server; all replicas use it",
      );
      return registration;
    } catch (error) {
      metrics.registration(upstream, "failed");
      log.error(
        { event: "registration_failed", ...about, reason: messageOf(error) },
        "our client could not be registered: users cannot connect this upstream until it is. Who is connected stays so",
      );
      throw error;
    }
  }
}

/** Said at the authorization endpoint (RFC 6749 §4.1.2.1). */
const refusalsOfClients: ReadonlySet<string> = new Set(["unauthorized_client", "invalid_client"]);

const wantsIssuer =
  "a grant that was put at an MCP server is refreshed at the issuer that is set beside mcp, and none is: its refresh token is sent nowhere";
const wantsKey = "set connect.clientKey again: grants were made with it";

function atAnother({ issuer }: BoundClient): string {
  return `the MCP server no longer names the issuer ${issuer}, which the refresh token belongs to: it was sent nowhere, and the user has to log in again`;
}

function isForgotten({ id, issuer }: BoundClient): string {
  return `${issuer} has forgotten the client ${id}, and the grant with it: the user has to log in again`;
}
