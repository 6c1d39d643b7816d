import { AsyncLocalStorage } from "node:async_hooks";
import * as openid from "openid-client";
import type { Clock } from "../clock.ts";
import { messageOf } from "../error.ts";
import { type ClientAuthConfig, clientAuthOf } from "./client-auth.ts";
import { type CodeFlowConfig, createCodeFlow } from "./code-flow.ts";
import type { Provider, RefreshOutcome, RefreshRequest } from "./provider.ts";
import { type Fetch, NotSentError, type SentOutcome, sendTokenRequest } from "./token-request.ts";

/** One upstream's authorization server and our client there. */
export interface OAuthProviderConfig {
  /** With `tokenEndpoint`: what ID tokens and client assertions name. Without: discovered from (OpenID Connect Discovery 1.0, RFC 8414). */
  readonly issuer?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  readonly clientId: string;
  readonly clientAuth: ClientAuthConfig;
  /** Sent with each refresh: `scope`, `resource` (RFC 8707), `audience`, … */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /** Plain http is allowed: for loopback, or where the operator said so. */
  readonly allowInsecure: boolean;
  readonly refreshTokenLifeMs: number;
  readonly killsOldAccess: boolean;
  readonly maxConcurrency: number;
  readonly graceMs?: number | undefined;
  /** RFC 7009; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly revocationEndpoint?: string | undefined;
  /** How users log in by themselves; absent where they do not. */
  readonly connect?: CodeFlowConfig | undefined;
}

export interface OAuthProviderDeps {
  readonly config: OAuthProviderConfig;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

/** One exchange: what decides whether it is sent, and who is told how it ended. */
interface Exchange {
  readonly beforeSend: () => boolean;
  readonly onOutcome: (outcome: SentOutcome) => void;
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

/** A standard OAuth 2 client (RFC 6749 §6) on openid-client. */
export function createOAuthProvider({ config, fetch, clock }: OAuthProviderDeps): Provider {
  const auth = clientAuthOf(config.clientAuth);
  const exchanges = new AsyncLocalStorage<Exchange>();
  let known: Promise<openid.Configuration> | undefined;

  return {
    refreshTokenLifeMs: config.refreshTokenLifeMs,
    killsOldAccess: config.killsOldAccess,
    maxConcurrency: config.maxConcurrency,
    graceMs: config.graceMs,
    login:
      config.connect &&
      createCodeFlow({
        config: config.connect,
        configure,
        resources: config.parameters.flatMap(([name, value]) => (name === "resource" ? [value] : [])),
        hasIssuer: config.issuer !== undefined,
        captured: (onOutcome, redeem) => exchanges.run({ beforeSend: () => true, onOutcome }, redeem),
      }),

    async refresh(request) {
      let configuration: openid.Configuration;
      try {
        configuration = await configure();
      } catch (error) {
        return { kind: "transient", why: `discovery failed: ${messageOf(error)}` };
      }
      return present(configuration, request);
    },

    async revoke(token) {
      try {
        const configuration = await configure();
        if (configuration.serverMetadata().revocation_endpoint === undefined) return "the provider names no revocation endpoint";
        await openid.tokenRevocation(configuration, token.reveal());
        return undefined;
      } catch (error) {
        return problemOf(error);
      }
    },
  };

  /** Static endpoints at once; discovered ones once, and again after a failure. */
  function configure(): Promise<openid.Configuration> {
    known ??= (config.tokenEndpoint === undefined ? discover(config.issuer ?? "") : Promise.resolve(fixed(config.tokenEndpoint))).catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  }

  function fixed(tokenEndpoint: string): openid.Configuration {
    const revocation = config.revocationEndpoint === undefined ? {} : { revocation_endpoint: config.revocationEndpoint };
    const authorization = config.connect?.authorizationEndpoint === undefined ? {} : { authorization_endpoint: config.connect.authorizationEndpoint };
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

  /** The outcome is what the injected fetch saw; openid-client's view of the response comes after, as `checks`. */
  function present(configuration: openid.Configuration, { refreshToken, beforeSend }: RefreshRequest): Promise<RefreshOutcome> {
    return new Promise((resolve) => {
      const conformity = Promise.withResolvers<string | undefined>();
      const onOutcome = (outcome: SentOutcome) => resolve(outcome.kind === "tokens" ? { ...outcome, checks: conformity.promise } : outcome);
      const parameters = new URLSearchParams(config.parameters.map(([name, value]): [string, string] => [name, value]));
      exchanges.run({ beforeSend, onOutcome }, () => {
        openid.refreshTokenGrant(configuration, refreshToken.reveal(), parameters).then(
          () => conformity.resolve(undefined),
          (error: unknown) => {
            conformity.resolve(problemOf(error));
            // Decided already wherever a request was made; else openid-client refused to make it.
            resolve({ kind: "transient", why: messageOf(error) });
          },
        );
      });
    });
  }

  function customFetch(url: string, options: openid.CustomFetchOptions): Promise<Response> {
    const send = () => fetch(url, options as RequestInit);
    const exchange = exchanges.getStore();
    if (exchange === undefined) return send();
    const sendOnce = async () => {
      if (!exchange.beforeSend()) throw new NotSentError("not sent");
      return send();
    };
    return sendTokenRequest(sendOnce, { clock, onOutcome: exchange.onOutcome, checksIdToken: config.issuer !== undefined });
  }
}

function problemOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${messageOf(error.cause)}` : "";
  return `${messageOf(error)}${cause}`;
}
