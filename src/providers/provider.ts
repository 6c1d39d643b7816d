import type { Secret } from "../secret.ts";
import type { CodeFlow } from "./code-flow.ts";
import type { TokenResponse } from "./token-response.ts";

/** What the log says of a failure beside its code. */
interface FailureWords {
  /** The provider's own sentence, cut and printable, without what was presented. Nothing is decided on it. */
  readonly description?: string | undefined;
  /** What the operator may try. */
  readonly advice?: string | undefined;
}

/** How one presentation of a refresh token ended. Decided on parsed fields, never on what is found in the words of a message. */
export type RefreshOutcome =
  /**
   * The provider answered with tokens, which must be stored before anything else. `checks` settles after openid-client has looked at the rest of the response
   * (an ID token, say) with what it found wrong, or undefined; it never rejects.
   */
  | { readonly kind: "tokens"; readonly tokens: TokenResponse; readonly checks: Promise<string | undefined> }
  /** The provider refused this refresh token (`invalid_grant` and the like): only here does a user have to log in again. */
  | ({ readonly kind: "refused"; readonly why: string } & FailureWords)
  /** The provider refused us, not the user (`invalid_client`, …): nothing about the session changes. */
  | ({ readonly kind: "misconfigured"; readonly why: string } & FailureWords)
  /** It failed and the refresh token was surely not used. `tooMany`: the provider is well and asks for fewer requests (429, RFC 6585 §4). */
  | ({ readonly kind: "transient"; readonly why: string; readonly retryAfterMs?: number | undefined; readonly tooMany?: boolean } & FailureWords)
  /** It failed and the refresh token may have been used. */
  | ({ readonly kind: "unknown"; readonly why: string; readonly retryAfterMs?: number | undefined } & FailureWords);

/** What a refresh asks for. */
export interface RefreshRequest {
  readonly refreshToken: Secret;
  /** Called in the tick that sends the request. False stops it: the outcome is `transient`, nothing was sent. */
  readonly beforeSend: () => boolean;
}

/** One upstream's authorization server. */
export interface Provider {
  /** Presents the refresh token once (RFC 6749 §6): no retry, no second client-authentication style. Never rejects. */
  refresh(request: RefreshRequest): Promise<RefreshOutcome>;
  /**
   * Asks the provider to end a grant by its refresh token, or its access token where there is none (RFC 7009, or the provider's own way); some end it only by the access
   * token. A 503 is tried again for up to 10 s. Resolves to what went wrong, undefined where nothing did. Never rejects.
   */
  readonly revoke?: ((token: Secret, accessToken?: Secret) => Promise<string | undefined>) | undefined;
  /** How users log in there by themselves; absent where that is not configured. */
  readonly login?: CodeFlow | undefined;
  /** How long the provider accepts a refresh token again after it has rotated it, ms; absent where it is not known to. */
  readonly graceMs?: number | undefined;
  /** It never rotates: presenting a refresh token changes nothing, however that ends. */
  readonly neverRotates?: boolean | undefined;
  /** Refreshes that this process asks of the provider at the same time, at most. */
  readonly maxConcurrency: number;
  /** Milliseconds a refresh token lives where neither response nor store says so. */
  readonly refreshTokenLifeMs: number;
  /** Milliseconds an access token lives where an answer does not say; absent: what the login or the last answer said, and no expiry where nothing ever did. */
  readonly accessTokenLifeMs?: number | undefined;
  /** The old access token dies at rotation: nothing is refreshed ahead of need. */
  readonly killsOldAccess: boolean;
}
