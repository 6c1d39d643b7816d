import * as openid from "openid-client";
import { type ClientAuthConfig, clientAuthOf } from "./client-auth.ts";

/** Where an authorization server is, and who we are there. */
export interface ServerConfig {
  /** With `tokenEndpoint`: what ID tokens and client assertions name. Without: discovered from (OpenID Connect Discovery 1.0, RFC 8414). */
  readonly issuer?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  /** RFC 7009; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly revocationEndpoint?: string | undefined;
  /** RFC 6749 §3.1; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly authorizationEndpoint?: string | undefined;
  readonly clientId: string;
  readonly clientAuth: ClientAuthConfig;
  /** Plain http is allowed: for loopback, or where the operator said so. */
  readonly allowInsecure: boolean;
}

/** A response that comes later than this is not waited for, in seconds; callers give up long before. */
const latestResponseSeconds = 60;
const discoveryTimeoutSeconds = 8;
/** openid-client's codes for an answer that is no metadata: another status, not JSON, not this issuer's. */
const answeredCodes: ReadonlySet<string> = new Set([
  "OAUTH_RESPONSE_IS_NOT_CONFORM",
  "OAUTH_RESPONSE_IS_NOT_JSON",
  "OAUTH_PARSE_ERROR",
  "OAUTH_INVALID_RESPONSE",
  "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
]);

/** openid-client's view of the server: static endpoints at once; discovered ones once, and again after a failure. */
export function createServerConfiguration(config: ServerConfig, customFetch: openid.CustomFetch): () => Promise<openid.Configuration> {
  const auth = clientAuthOf(config.clientAuth);
  let known: Promise<openid.Configuration> | undefined;

  return function configure() {
    known ??= (config.tokenEndpoint === undefined ? discover(config.issuer ?? "") : Promise.resolve(fixed(config.tokenEndpoint))).catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  };

  function fixed(tokenEndpoint: string): openid.Configuration {
    const revocation = config.revocationEndpoint === undefined ? {} : { revocation_endpoint: config.revocationEndpoint };
    const authorization = config.authorizationEndpoint === undefined ? {} : { authorization_endpoint: config.authorizationEndpoint };
    const server = { issuer: config.issuer ?? tokenEndpoint, token_endpoint: tokenEndpoint, ...revocation, ...authorization };
    const configuration = new openid.Configuration(server, config.clientId, undefined, auth);
    configuration[openid.customFetch] = customFetch;
    if (config.allowInsecure) openid.allowInsecureRequests(configuration);
    configuration.timeout = latestResponseSeconds;
    return configuration;
  }

  /** OpenID Connect's path, then RFC 8414's where the issuer answers with something else than metadata; one that does not answer is not asked twice. */
  async function discover(issuer: string): Promise<openid.Configuration> {
    try {
      return await discoverBy("oidc", issuer);
    } catch (error) {
      if (!(error instanceof openid.ClientError) || !answeredCodes.has(error.code ?? "")) throw error;
      return discoverBy("oauth2", issuer).catch(() => {
        throw error;
      });
    }
  }

  async function discoverBy(algorithm: "oidc" | "oauth2", issuer: string): Promise<openid.Configuration> {
    const configuration = await openid.discovery(new URL(issuer), config.clientId, undefined, auth, {
      algorithm,
      [openid.customFetch]: customFetch,
      execute: config.allowInsecure ? [openid.allowInsecureRequests] : [],
      timeout: discoveryTimeoutSeconds,
    });
    configuration.timeout = latestResponseSeconds;
    return configuration;
  }
}
