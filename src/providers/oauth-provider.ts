import { AsyncLocalStorage } from "node:async_hooks";
import * as openid from "openid-client";
import { bounded } from "../platform/bounded-body.ts";
import type { Clock } from "../platform/clock.ts";
import { fetchProblem } from "../platform/discovery.ts";
import { messageOf, withCauses } from "../platform/error.ts";
import type { Secret } from "../platform/secret.ts";
import type { ErrorRules, ResponseRules } from "./answer-rules.ts";
import { retryAfterMs } from "./classify.ts";
import type { ClientAuthConfig } from "./client-auth.ts";
import { type CodeFlowConfig, createCodeFlow } from "./code-flow.ts";
import type { RevocationEnding } from "./metrics.ts";
import type { RefreshOutcome, SentOutcome } from "./outcome.ts";
import type { Provider, RefreshRequest } from "./provider.ts";
import { bentRequest, type RequestRules } from "./request-rules.ts";
import { type RevocationAttempt, untilRevoked } from "./revocation.ts";
import { type RevocationRequest, requestRevocation } from "./revocation-request.ts";
import { createServerConfiguration, type ServerConfig } from "./server-configuration.ts";
import { type Fetch, isUnreachable, NotSentError, sendTokenRequest } from "./token-request.ts";

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
  /** Where the provider bends the standard. */
  readonly request?: RequestRules | undefined;
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
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** Told of each token that was to be ended at the provider. */
  readonly onRevocation?: ((ending: RevocationEnding) => void) | undefined;
}

/** One exchange: what decides whether it is sent, and who is told how it ended. */
interface Exchange {
  readonly beforeSend: () => boolean;
  readonly onOutcome: (outcome: SentOutcome) => void;
}

/** A standard OAuth 2 client (RFC 6749 §6) on openid-client. */
export function createOAuthProvider({ config, fetch, clock, onRevocation }: OAuthProviderDeps): Provider {
  const exchanges = new AsyncLocalStorage<Exchange>();
  const { configure, gone } = createServerConfiguration({
    config: { ...config, authorizationEndpoint: config.connect?.authorizationEndpoint },
    customFetch,
    clock,
  });

  return {
    refreshTokenLifeMs: config.refreshTokenLifeMs,
    killsOldAccess: config.killsOldAccess,
    accessTokenLifeMs: config.accessTokenLifeMs,
    maxConcurrency: config.maxConcurrency,
    graceMs: config.graceMs,
    neverRotates: config.neverRotates,
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
        return { kind: "transient", why: `discovery failed: ${fetchProblem(error)}` };
      }
      return present(configuration, request);
    },

    async revoke(token, accessToken) {
      const { ending, why } = await untilRevoked(clock, () => tryRevoke(token, accessToken));
      onRevocation?.(ending);
      return why;
    },
  };

  async function tryRevoke(token: Secret, accessToken: Secret | undefined): Promise<RevocationAttempt> {
    const { revocation } = config;
    if (revocation === undefined) return revokeByStandard(token);
    const wanted = revocation.token === "access" ? accessToken : token;
    if (wanted === undefined)
      return { kind: "none", why: "the provider ends grants by their access token, and none is held" };
    return requestRevocation(revocation, wanted.reveal(), { config, fetch, clock });
  }

  /**
   * A revocation is asked for once in a token's life: where its endpoint has just been found elsewhere, it goes there
   * too.
   */
  async function revokeByStandard(token: Secret, triedAt?: string): Promise<RevocationAttempt> {
    let endpoint: string | undefined;
    try {
      const configuration = await configure();
      endpoint = configuration.serverMetadata().revocation_endpoint;
      if (endpoint === undefined) return { kind: "none", why: "the provider names no revocation endpoint" };
      await openid.tokenRevocation(configuration, token.reveal());
      return { kind: "done" };
    } catch (error) {
      const response = responseOf(error);
      if (triedAt === undefined && endpoint !== undefined && (await hasMoved(endpoint)))
        return revokeByStandard(token, endpoint);
      if (response?.status !== 503)
        return {
          kind: "failed",
          why: response === undefined ? withCauses(error) : `${withCauses(error)}: HTTP ${response.status}`,
        };
      return {
        kind: "busy",
        why: "http_503",
        retryAfterMs: retryAfterMs(response.headers.get("retry-after"), clock.wallMs()),
      };
    }
  }

  async function hasMoved(revocationEndpoint: string): Promise<boolean> {
    const now = await configure().then(
      (configuration) => configuration.serverMetadata().revocation_endpoint,
      () => undefined,
    );
    return now !== undefined && now !== revocationEndpoint;
  }

  /** The outcome is what the injected fetch saw; openid-client's view of the response comes after, as `checks`. */
  function present(
    configuration: openid.Configuration,
    { refreshToken, beforeSend }: RefreshRequest,
  ): Promise<RefreshOutcome> {
    return new Promise((resolve) => {
      const conformity = Promise.withResolvers<string | undefined>();
      const onOutcome = (outcome: SentOutcome) =>
        resolve(outcome.kind === "tokens" ? { ...outcome, checks: conformity.promise } : outcome);
      const parameters = new URLSearchParams(config.parameters.map(([name, value]): [string, string] => [name, value]));
      exchanges.run({ beforeSend, onOutcome }, () => {
        openid.refreshTokenGrant(configuration, refreshToken.reveal(), parameters).then(
          () => conformity.resolve(undefined),
          (error: unknown) => {
            conformity.resolve(withCauses(error));
            // Decided already wherever a request was made; else openid-client refused to make it.
            resolve({ kind: "transient", why: messageOf(error) });
          },
        );
      });
    });
  }

  /**
   * An endpoint that has moved away shows it by its status, or by a name, a connection or a certificate that is not
   * there any more.
   */
  async function sendTo(url: string, init: RequestInit): Promise<Response> {
    try {
      const response = await fetch(url, init);
      if (goneStatus.has(response.status)) gone(url);
      return response;
    } catch (error) {
      if (isUnreachable(error)) gone(url);
      throw error;
    }
  }

  function customFetch(url: string, options: openid.CustomFetchOptions): Promise<Response> {
    const send = () => sendTo(url, bentRequest(options as RequestInit, config.request ?? {}));
    const exchange = exchanges.getStore();
    if (exchange === undefined) return send().then(bounded);
    const sendOnce = async () => {
      if (!exchange.beforeSend()) throw new NotSentError("not sent");
      return send();
    };
    return sendTokenRequest(sendOnce, {
      clock,
      rules: config,
      onOutcome: (outcome) => exchange.onOutcome(advised(outcome, config.clientAuth)),
      checksIdToken: config.issuer !== undefined,
      presented: presentedIn(options.body, config.clientAuth),
    });
  }
}

/** What an address answers from which an endpoint has moved away. */
const goneStatus: ReadonlySet<number> = new Set([404, 410]);

/** The fields of a token request that are nobody's but the provider's and ours. */
const secretFields = ["refresh_token", "code", "code_verifier", "client_secret", "client_assertion"] as const;

function presentedIn(body: openid.FetchBody, clientAuth: ClientAuthConfig): readonly string[] {
  const fields = body instanceof URLSearchParams ? secretFields.flatMap((name) => body.getAll(name)) : [];
  return "secret" in clientAuth ? [...fields, clientAuth.secret.reveal()] : fields;
}

/**
 * Servers differ in whether they decode Basic credentials, and many take them only in the body: a right secret is
 * refused then as a wrong one is.
 */
function advised(outcome: SentOutcome, { method }: ClientAuthConfig): SentOutcome {
  const isClientRefused =
    outcome.kind === "misconfigured" && (outcome.why === "invalid_client" || outcome.why === "http_401");
  if (!isClientRefused || !method.startsWith("client_secret_basic")) return outcome;
  const other =
    method === "client_secret_basic"
      ? "client_secret_basic_raw (id and secret are sent without percent-encoding)"
      : "client_secret_basic";
  return {
    ...outcome,
    advice: `if clientId and clientSecret are right, try clientAuth: ${other}, or client_secret_post`,
  };
}

/** The response that openid-client took offence at: it stands beside or below what it throws. */
function responseOf(error: unknown): Response | undefined {
  if (error instanceof Response) return error;
  if (!(error instanceof Error)) return undefined;
  return "response" in error && error.response instanceof Response ? error.response : responseOf(error.cause);
}
