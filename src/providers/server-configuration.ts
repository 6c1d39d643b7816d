import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { discoverServer } from "../platform/discovery.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { type HttpAnswer, httpAnswer } from "../platform/http-answer.ts";
import { mayBeAsked } from "../platform/loopback.ts";
import { type ClientAuthConfig, clientAuthOf } from "./client-auth.ts";
import { latestAnswerMs } from "./outcome.ts";
import { bentRequest, type RequestRules } from "./request-rules.ts";
import { isUnreachable } from "./token-request.ts";

/** Where an authorization server is, and who we are there. */
export interface ServerConfig {
  /**
   * With `tokenEndpoint`: what ID tokens and client assertions name. Without: discovered from (OpenID Connect Discovery
   * 1.0, RFC 8414).
   */
  readonly issuer?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  /** RFC 7009; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly revocationEndpoint?: string | undefined;
  /** RFC 6749 §3.1; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly authorizationEndpoint?: string | undefined;
  readonly clientId: string;
  readonly clientAuth: ClientAuthConfig;
  /** The operator allows plain http also off loopback. */
  readonly allowInsecure: boolean;
  /** Where the provider bends the standard. */
  readonly request?: RequestRules | undefined;
}

const discoveryTimeoutSeconds = 8;
const used = ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"];

/**
 * Metadata are asked for again at most once in this time for each endpoint that they name, ms, however often it fails.
 */
const rediscoveryCooldownMs = 30_000;

/** The statuses of an address from which an endpoint has moved away. */
const goneStatus: ReadonlySet<number> = new Set([404, 410]);

/**
 * The server's metadata, static or discovered. They are discovered once, again after a failure, and again when an
 * endpoint seems to have moved.
 */
export interface ServerConfiguration {
  /**
   * openid-client's view of the server, for one call. Throws what discovery throws.
   * @param customFetch what sends the call's requests; default: {@link send}
   */
  configure(customFetch?: openid.CustomFetch): Promise<openid.Configuration>;
  /**
   * Sends one request, bent as the provider wants it; the underlying fetch is called in the same tick. Where its
   * address turns out to be gone, or its server cannot be reached, the next `configure` asks where it is now, if it was
   * discovered.
   */
  send(url: string, options: openid.CustomFetchOptions): Promise<HttpAnswer>;
}

export interface ServerConfigurationDeps {
  readonly config: ServerConfig;
  readonly fetch: HttpFetch;
  readonly clock: Pick<Clock, "monotonicMs">;
  /**
   * In place of discovery at the issuer.
   * @param isAgain what was found before has stopped working
   */
  readonly discover?: ((isAgain: boolean) => Promise<openid.ServerMetadata>) | undefined;
}

export function createServerConfiguration(deps: ServerConfigurationDeps): ServerConfiguration {
  const { config, fetch, clock } = deps;
  const auth = clientAuthOf(config.clientAuth);
  let known: Promise<openid.ServerMetadata> | undefined;
  /** The metadata that were found last. They stay in use if they cannot be asked for anew. */
  let last: openid.ServerMetadata | undefined;
  /**
   * When each endpoint, by its name in the metadata, was last found gone. Each has its own time, so that one that moves
   * does not have to wait for another that was looked for just before.
   */
  const goneAt = new Map<string, number>();

  return {
    async configure(customFetch: openid.CustomFetch = send) {
      known ??= find().catch((error: unknown) => {
        known = undefined;
        throw error;
      });
      const configuration = await clientOf(await known);
      configuration[openid.customFetch] = customFetch;
      configuration.timeout = latestAnswerMs / 1_000;
      return configuration;
    },
    send,
  };

  /**
   * An endpoint that has moved away shows it by its status, or by a name, a connection or a certificate that is not
   * there any more.
   */
  async function send(url: string, options: openid.CustomFetchOptions): Promise<HttpAnswer> {
    try {
      const response = await fetch(url, bentRequest(options as RequestInit, config.request ?? {}));
      if (goneStatus.has(response.status)) gone(url);
      return response;
    } catch (error) {
      if (isUnreachable(error)) gone(url);
      throw error;
    }
  }

  function gone(url: string): void {
    if (last === undefined) return;
    const now = clock.monotonicMs();
    const metadata: Readonly<Record<string, unknown>> = { ...last };
    const isDue = (name: string) => now - (goneAt.get(name) ?? Number.NEGATIVE_INFINITY) >= rediscoveryCooldownMs;
    const found = used.filter((name) => metadata[name] === url && isDue(name));
    if (found.length === 0) return;
    for (const name of found) goneAt.set(name, now);
    known = undefined;
  }

  async function find(): Promise<openid.ServerMetadata> {
    if (config.tokenEndpoint !== undefined) return stated(config.tokenEndpoint);
    try {
      last = withoutLists(await found(last !== undefined));
    } catch (error) {
      if (last === undefined) throw error;
    }
    return last;
  }

  async function found(isAgain: boolean): Promise<openid.ServerMetadata> {
    if (deps.discover !== undefined) return deps.discover(isAgain);
    return (await discover(config.issuer ?? "", send)).serverMetadata();
  }

  function stated(tokenEndpoint: string): openid.ServerMetadata {
    const { issuer = tokenEndpoint, revocationEndpoint, authorizationEndpoint } = config;
    return {
      issuer,
      token_endpoint: tokenEndpoint,
      ...(revocationEndpoint === undefined ? {} : { revocation_endpoint: revocationEndpoint }),
      ...(authorizationEndpoint === undefined ? {} : { authorization_endpoint: authorizationEndpoint }),
    };
  }

  async function clientOf(metadata: openid.ServerMetadata): Promise<openid.Configuration> {
    // Entra's issuer for many tenants: only its discovery tells openid-client to compare with the token's own tenant.
    if (metadata.issuer.includes("{tenantid}"))
      return discover(config.issuer ?? "", async () =>
        httpAnswer({ status: 200, fields: { "content-type": "application/json" }, text: JSON.stringify(metadata) }),
      );
    const configuration = new openid.Configuration(metadata, config.clientId, undefined, auth);
    const asked = config.tokenEndpoint ?? config.issuer ?? "";
    if (mayBeAsked(asked.replace(/^https:/, "http:"), config.allowInsecure))
      openid.allowInsecureRequests(configuration);
    return configuration;
  }

  function discover(issuer: string, customFetch: openid.CustomFetch): Promise<openid.Configuration> {
    const { clientId, allowInsecure } = config;
    const timeoutSeconds = discoveryTimeoutSeconds;
    return discoverServer(issuer, { clientId, auth, customFetch, allowInsecure, timeoutSeconds, used });
  }
}

/**
 * Of the lists of what a server supports, openid-client looks only at that for ID tokens; it copies the metadata for
 * each call, and with the others the copy would cost more than the call.
 */
function withoutLists(metadata: openid.ServerMetadata): openid.ServerMetadata {
  const kept = Object.entries(metadata).filter(
    ([name, value]) => typeof value !== "object" || name === "id_token_signing_alg_values_supported",
  );
  return { ...Object.fromEntries(kept), issuer: metadata.issuer };
}
