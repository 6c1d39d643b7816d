import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Secret } from "../platform/secret.ts";
import type { ErrorRules, ResponseRules } from "./answer-rules.ts";
import { type CodeFlowConfig, createCodeFlow } from "./code-flow.ts";
import type { RevocationEnding } from "./metrics.ts";
import type { RefreshOutcome } from "./outcome.ts";
import type { Provider, RefreshRequest } from "./provider.ts";
import { type RevocationAttempt, untilRevoked } from "./revocation.ts";
import { type RevocationRequest, requestRevocation } from "./revocation-request.ts";
import { createServerConfiguration, type ServerConfig, type ServerConfigurationDeps } from "./server-configuration.ts";
import { revokeByStandard } from "./standard-revocation.ts";
import { createTokenExchange, outcomeOf } from "./token-exchange.ts";

/** One upstream's authorization server, our client there, and what is known of both. */
export interface OAuthProviderConfig extends ServerConfig {
  /** Sent with each refresh: `scope`, `resource` (RFC 8707), `audience`, … */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly refreshTokenLifeMs: number;
  readonly killsOldAccess: boolean;
  readonly maxConcurrency: number;
  readonly graceMs?: number | undefined;
  readonly neverRotates?: boolean | undefined;
  /** How users log in by themselves; absent where they do not. */
  readonly connect?: CodeFlowConfig | undefined;
  /** In place of RFC 7009. */
  readonly revocation?: RevocationRequest | undefined;
  /** Where its answers bend the standard. */
  readonly response?: ResponseRules | undefined;
  readonly errors?: ErrorRules | undefined;
  /**
   * Life of an access token for which the provider states none; absent: what it stated last, and no expiry where it
   * never stated any.
   */
  readonly accessTokenLifeMs?: number | undefined;
}

export interface OAuthProviderDeps {
  readonly config: OAuthProviderConfig;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  /** In place of the issuer's own discovery. */
  readonly discover?: ServerConfigurationDeps["discover"];
  readonly keepsIdToken?: boolean | undefined;
  /** Told of each token that was to be ended at the provider. */
  readonly onRevocation?: ((ending: RevocationEnding) => void) | undefined;
}

/** A standard OAuth 2 client (RFC 6749 §6) on openid-client. */
export function createOAuthProvider(deps: OAuthProviderDeps): Provider {
  const { config, fetch, clock, discover, keepsIdToken, onRevocation } = deps;
  const { authorizationEndpoint } = config.connect ?? {};
  const server = createServerConfiguration({ config: { ...config, authorizationEndpoint }, fetch, clock, discover });
  const parameters = config.parameters.map(([name, value]): [string, string] => [name, value]);
  const exchange = (beforeSend?: () => boolean) =>
    createTokenExchange({ config, send: server.send, clock, beforeSend });

  return {
    refreshTokenLifeMs: config.refreshTokenLifeMs,
    killsOldAccess: config.killsOldAccess,
    keepsIdToken,
    accessTokenLifeMs: config.accessTokenLifeMs,
    maxConcurrency: config.maxConcurrency,
    graceMs: config.graceMs,
    neverRotates: config.neverRotates,
    login:
      config.connect &&
      createCodeFlow({
        config: config.connect,
        configure: server.configure,
        resources: config.parameters.flatMap(([name, value]) => (name === "resource" ? [value] : [])),
        hasIssuer: config.issuer !== undefined,
        exchange,
      }),
    refresh,

    async revoke(token, accessToken) {
      const { ending, why } = await untilRevoked(clock, () => tryRevoke(token, accessToken));
      onRevocation?.(ending);
      return why;
    },
  };

  function refresh({ refreshToken, beforeSend }: RefreshRequest): Promise<RefreshOutcome> {
    return outcomeOf(exchange(beforeSend), server.configure, (configuration) =>
      openid.refreshTokenGrant(configuration, refreshToken.reveal(), new URLSearchParams(parameters)),
    );
  }

  async function tryRevoke(token: Secret, accessToken: Secret | undefined): Promise<RevocationAttempt> {
    const { revocation } = config;
    if (revocation === undefined) return revokeByStandard(token, { server, clock });
    const wanted = revocation.token === "access" ? accessToken : token;
    if (wanted === undefined)
      return { kind: "none", why: "the provider ends grants by their access token, and none is held" };
    return requestRevocation(revocation, wanted.reveal(), { config, fetch, clock });
  }
}
