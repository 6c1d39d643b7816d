import * as openid from "openid-client";
import type { BoundClient } from "../platform/bound-client.ts";
import { withCauses } from "../platform/error.ts";
import { foreignWord } from "../platform/foreign-text.ts";
import { isClientRefusal, type SentOutcome } from "./outcome.ts";
import type { ServerConfiguration } from "./server-configuration.ts";
import type { TokenExchange } from "./token-exchange.ts";
import type { TokenResponse } from "./token-response.ts";

/** How a provider is asked to log a user in. */
export interface CodeFlowConfig {
  /** Used with a configured token endpoint, else it is discovered with the issuer. */
  readonly authorizationEndpoint?: string | undefined;
  /** With `openid` in it the provider says who the user is. */
  readonly scope?: string | undefined;
  /** The parameter that carries `scope`. Default `scope`; Slack hands out a user's tokens for `user_scope`. */
  readonly scopeParameter?: string | undefined;
  /** What stands between scopes on the wire. Default a space (RFC 6749 §3.3). */
  readonly scopeSeparator?: " " | "," | undefined;
  /**
   * False for a provider that refuses what it does not know and does not know PKCE. Default true: others ignore it (RFC
   * 6749 §3.1).
   */
  readonly pkce?: boolean | undefined;
  /** True: users come back to a redirect URI of this upstream alone. Default false. */
  readonly ownRedirect?: boolean | undefined;
  /** More parameters of the authorization request. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** One login: the values that its beginning and its end must share. */
export interface Login {
  /** Without query. */
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  /** PKCE (RFC 7636 §4.1). */
  readonly verifier: string;
  /** What {@link CodeFlow.prepare} found. */
  readonly client?: BoundClient | undefined;
  /** Scopes to ask for beside {@link CodeFlow.scopes}. */
  readonly further?: readonly string[] | undefined;
}

/** Who has logged in, from the ID token (OpenID Connect Core §2). */
export type LoginIdentity =
  | {
      readonly kind: "verified";
      readonly issuer: string;
      readonly subject: string;
      /** The provider's name for its session with the user, where it says one (OpenID Connect Back-Channel Logout 1.0). */
      readonly sid: string | undefined;
      readonly name: string | undefined;
    }
  /** None was asked for. */
  | { readonly kind: "none" }
  /** `foreign`: it belongs to another login (its nonce differs), so that the code may have been slipped in. */
  | { readonly kind: "unverified"; readonly why: string; readonly foreign: boolean };

/** How a login ended. */
export type LoginOutcome =
  /** The tokens must be stored before anything else; `identity` settles after, and never rejects. */
  | { readonly kind: "tokens"; readonly tokens: TokenResponse; readonly identity: Promise<LoginIdentity> }
  /**
   * The provider sent the user back without a code (RFC 6749 §4.1.2.1). Its words: not to be trusted, not to be shown
   * unescaped.
   */
  | { readonly kind: "denied"; readonly error: string; readonly description: string | undefined }
  | {
      readonly kind: "failed";
      readonly why: string;
      /** The provider refused our client, and not the code. */
      readonly isClientRefused?: boolean;
    };

/**
 * The authorization code flow (RFC 6749 §4.1) at one provider, with state, nonce, and PKCE S256 unless the provider
 * takes none.
 */
export interface CodeFlow {
  /** Users come back to a redirect URI of this upstream alone. */
  readonly hasOwnRedirect: boolean;
  /**
   * Finds out with which client the user can be logged in, where it is not simply the configured one: it may have to be
   * registered first. The login goes to this client's issuer, and is redeemed only there.
   * @throws where there is none; the message says what to do
   */
  prepare?(): Promise<BoundClient>;
  /**
   * The scopes that every login asks for; empty where that is left to the provider, or not known.
   *
   * @param client that {@link prepare} found
   */
  scopes(client: BoundClient | undefined): Promise<readonly string[]>;
  /** Where to send the user. @throws where the provider's metadata cannot be had or name no authorization endpoint */
  authorizationUrl(login: Login): Promise<string>;
  /**
   * Redeems the code that the provider sent with the user, once, after `iss` (RFC 9207) and `state` were compared.
   * Never rejects.
   */
  redeem(callback: URL, login: Login): Promise<LoginOutcome>;
}

interface CodeFlowDeps {
  readonly config: CodeFlowConfig;
  readonly configure: ServerConfiguration["configure"];
  /** The APIs that the tokens are for (RFC 8707 §2). They are named at both ends of the flow, as at each refresh. */
  readonly resources: readonly string[];
  /** ID tokens can be verified: the issuer is known. */
  readonly hasIssuer: boolean;
  /** One token request, read by us before openid-client looks at the answer. */
  readonly exchange: () => TokenExchange;
}

export function createCodeFlow({ config, configure, resources, hasIssuer, exchange }: CodeFlowDeps): CodeFlow {
  const { scope, scopeParameter = "scope", scopeSeparator = " ", pkce = true } = config;
  const scopes = scope?.split(" ") ?? [];
  const isOpenId = hasIssuer && scopes.includes("openid");

  return {
    hasOwnRedirect: config.ownRedirect ?? false,

    scopes: async () => scopes,

    async authorizationUrl({ redirectUri, state, nonce, verifier, further = [] }) {
      const asked = [...new Set([...scopes, ...further])];
      const parameters = new URLSearchParams({
        ...config.parameters,
        ...(asked.length === 0 ? {} : { [scopeParameter]: asked.join(scopeSeparator) }),
        ...(isOpenId ? { nonce } : {}),
        response_type: "code",
        redirect_uri: redirectUri,
        state,
        ...(pkce
          ? { code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256" }
          : {}),
      });
      if (!parameters.has("resource")) for (const resource of resources) parameters.append("resource", resource);
      return openid.buildAuthorizationUrl(await configure(), parameters).href;
    },

    async redeem(callback, login) {
      const named = callback.searchParams.get("iss");
      // Without an issuer to compare it with, this could be another provider's code (RFC 9207 §2.4).
      if (named !== null && !hasIssuer)
        return {
          kind: "failed",
          why: `iss is "${foreignWord(named)}" and no issuer is configured: if it is this provider, set issuer to it`,
        };
      try {
        const { fetch, outcome } = exchange();
        return await redeemed(await configure(fetch), outcome, callback, login);
      } catch (error) {
        return { kind: "failed", why: withCauses(error) };
      }
    },
  };

  async function redeemed(
    configuration: openid.Configuration,
    outcome: Promise<SentOutcome>,
    callback: URL,
    login: Login,
  ): Promise<LoginOutcome> {
    const checks = {
      expectedState: login.state,
      ...(pkce ? { pkceCodeVerifier: login.verifier } : {}),
      ...(isOpenId ? { expectedNonce: login.nonce } : {}),
    };
    const parameters = new URLSearchParams(resources.map((resource): [string, string] => ["resource", resource]));
    const grant = openid.authorizationCodeGrant(configuration, callback, checks, parameters);
    const identity = grant.then(
      (response): LoginIdentity => (isOpenId ? identityOf(response.claims()) : { kind: "none" }),
      (error: unknown) => unverified(error, login),
    );
    // If openid-client refuses to make the request, the user came back without a code.
    const refused = grant.then(() => outcome, refusalOf);
    const sent = await Promise.race([outcome, refused]);
    if (sent.kind === "tokens") return { ...sent, identity };
    if (sent.kind === "denied" || sent.kind === "failed") return sent;
    return { kind: "failed", why: failureWords(sent), isClientRefused: isClientRefusal(sent) };
  }

  function unverified(error: unknown, { nonce }: Login): LoginIdentity {
    if (!isOpenId) return { kind: "none" };
    return { kind: "unverified", why: withCauses(error), foreign: hasOtherNonce(error, nonce) };
  }
}

/** What the log says of a failure: the code, the provider's own sentence and what may help. */
function failureWords({ kind, why, description, advice }: Exclude<SentOutcome, { readonly kind: "tokens" }>): string {
  const more = [description, advice].filter((text) => text !== undefined).join("; ");
  return more === "" ? `${kind}: ${why}` : `${kind}: ${why} (${more})`;
}

function identityOf(claims: openid.IDToken | undefined): LoginIdentity {
  if (claims === undefined) return { kind: "unverified", why: "the response holds no ID token", foreign: false };
  const name = [claims.name, claims.preferred_username, claims.email].find(
    (value) => typeof value === "string" && value !== "",
  );
  const sid = typeof claims.sid === "string" && claims.sid !== "" ? claims.sid : undefined;
  return { kind: "verified", issuer: claims.iss, subject: claims.sub, sid, name: name as string | undefined };
}

function refusalOf(error: unknown): Exclude<LoginOutcome, { readonly kind: "tokens" }> {
  if (error instanceof openid.AuthorizationResponseError)
    return { kind: "denied", error: error.error, description: error.error_description };
  return { kind: "failed", why: withCauses(error) };
}

/** Whether the nonce differs, by the claims that oauth4webapi puts into its errors. */
function hasOtherNonce(error: unknown, nonce: string): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.cause : undefined;
  const claims =
    typeof cause === "object" && cause !== null && "claims" in cause
      ? (cause.claims as Readonly<Record<string, unknown>> | undefined)
      : undefined;
  return claims !== undefined && claims.nonce !== nonce;
}
