import type { Secret } from "../platform/secret.ts";
import type { SigningAlgorithm } from "../providers/client-auth.ts";

/** What is asked for: `scope`, `audience`, `resource`, … */
type Parameters = readonly (readonly [name: string, value: string])[];

/** Our client's own token (RFC 6749 §4.4): one for all sessions. */
export interface ClientCredentialsConfig {
  readonly kind: "clientCredentials";
  readonly parameters: Parameters;
}

/** The session's own token is exchanged for the upstream's (RFC 8693). */
export interface ExchangeConfig {
  readonly kind: "exchange";
  readonly parameters: Parameters;
  readonly subjectTokenType: string;
  /** Absent: what the provider gives by itself. */
  readonly requestedTokenType?: string | undefined;
  /** Who acts for the session's user; the file holds its token, and is read for each exchange. */
  readonly actor?: { readonly file: string; readonly tokenType: string } | undefined;
  /** Where users consent, if the provider asks for that. */
  readonly consentUrl?: string | undefined;
}

/** Who a signed assertion is about: always the same, or whom a claim of the session's own JWT names. */
export type AssertedSubject =
  | { readonly kind: "fixed"; readonly subject: string }
  | {
      readonly kind: "claim";
      readonly claim: string;
      /** The claim that has to be true for that one to be believed, as `email_verified` is for `email`. */
      readonly verified?: string | undefined;
      /** What the value has to end with, after its only `@`. Absent: it may be anything. */
      readonly domains?: readonly string[] | undefined;
    };

/** An assertion that we sign (RFC 7523 §3). */
export interface SignedAssertion {
  readonly privateKey: Secret;
  readonly privateKeyId?: string | undefined;
  readonly algorithm: SigningAlgorithm;
  readonly issuer: string;
  readonly subject: AssertedSubject;
  readonly audience: string;
  readonly claims: Readonly<Record<string, string>>;
  readonly lifeMs: number;
}

/** A JWT is the grant (RFC 7523 §2.1): the session's own, or one that we sign. */
export interface JwtBearerConfig {
  readonly kind: "jwtBearer";
  readonly parameters: Parameters;
  readonly assertion: "session" | SignedAssertion;
  readonly consentUrl?: string | undefined;
}

/**
 * Experimental. The user's login at another upstream, an identity provider, becomes an assertion for this one's
 * authorization server (draft-ietf-oauth-identity-assertion-authz-grant-04).
 */
export interface CrossAppConfig {
  readonly kind: "crossApp";
  /** The upstream at whose provider users log in. */
  readonly identity: string;
  /** What the assertion is asked for: `audience`, `resource`, `scope`. */
  readonly parameters: Parameters;
}

/** How an upstream's tokens are minted, where it needs no login of its user there. */
export type MintedConfig = ClientCredentialsConfig | ExchangeConfig | JwtBearerConfig | CrossAppConfig;

/** Whether a token is minted for the session's own, so that it differs from session to session. */
export function needsSubjectToken(minted: MintedConfig): boolean {
  switch (minted.kind) {
    case "clientCredentials":
    case "crossApp":
      return false;
    case "exchange":
      return true;
    case "jwtBearer":
      return minted.assertion === "session" || minted.assertion.subject.kind === "claim";
    default:
      return minted satisfies never;
  }
}
