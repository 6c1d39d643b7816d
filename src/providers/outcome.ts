import type { RefusalHelp } from "./refusal-help.ts";
import type { TokenResponse } from "./token-response.ts";

/** What the log says of a failure beside its code. */
interface FailureWords {
  /**
   * The provider's own sentence, cut and printable, without what was presented. It is never used to decide anything.
   */
  readonly description?: string | undefined;
  /** What the operator may try. */
  readonly advice?: string | undefined;
  /** Whether a rule of the upstream's `errors` gives the answer its meaning, and not the standard. */
  readonly isStated?: boolean | undefined;
  /** For who was refused. */
  readonly help?: RefusalHelp | undefined;
}

/**
 * How one presentation of a refresh token ended. It is decided by parsed fields, never by words in a message.
 */
export type RefreshOutcome =
  /**
   * The provider answered with tokens, which must be stored before anything else. `checks` settles after openid-client
   * has looked at the rest of the response (an ID token, say) with what it found wrong, or undefined; it never rejects.
   */
  | { readonly kind: "tokens"; readonly tokens: TokenResponse; readonly checks: Promise<string | undefined> }
  /**
   * The provider refused this refresh token (`invalid_grant` and the like), or is no longer the one that it belongs to:
   * only here does a user have to log in again.
   */
  | ({ readonly kind: "refused"; readonly why: string } & FailureWords)
  /** The provider refused us, not the user (`invalid_client`, …): nothing about the session changes. */
  | ({ readonly kind: "misconfigured"; readonly why: string } & FailureWords)
  /**
   * It failed and the refresh token was surely not used. `tooMany`: the provider is well and asks for fewer requests
   * (429, RFC 6585 §4).
   */
  | ({
      readonly kind: "transient";
      readonly why: string;
      readonly retryAfterMs?: number | undefined;
      readonly tooMany?: boolean;
    } & FailureWords)
  /** It failed and the refresh token may have been used. */
  | ({ readonly kind: "unknown"; readonly why: string; readonly retryAfterMs?: number | undefined } & FailureWords);

/**
 * How the one request of a presentation ended. For a response with tokens, what openid-client says about the rest of it
 * is not known yet.
 */
export type SentOutcome =
  | Exclude<RefreshOutcome, { readonly kind: "tokens" }>
  | { readonly kind: "tokens"; readonly tokens: TokenResponse };

/** Whether the provider said that it does not know our client, or does not believe that we are it (RFC 6749 §5.2). */
export function isClientRefusal({ kind, ...rest }: SentOutcome): boolean {
  return kind === "misconfigured" && "why" in rest && rest.why === "invalid_client";
}

/**
 * No answer comes later than this after the sending, ms: the client ends the connection. A provider is assumed to
 * redeem no token later than this either.
 */
export const latestAnswerMs = 60_000;
