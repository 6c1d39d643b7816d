import type { BoundClient } from "../platform/bound-client.ts";
import type { Secret } from "../platform/secret.ts";
import type { CodeFlow } from "./code-flow.ts";
import type { RefreshOutcome } from "./outcome.ts";

/** What a refresh asks for. */
export interface RefreshRequest {
  readonly refreshToken: Secret;
  /** The client that the grant was made with; absent: the configured one. */
  readonly client?: BoundClient | undefined;
  /** Called in the tick that sends the request. If it returns false nothing is sent, and the outcome is `transient`. */
  readonly beforeSend: () => boolean;
}

/** One upstream's authorization server. */
export interface Provider {
  /** Presents the refresh token once (RFC 6749 §6): no retry, no second client-authentication style. Never rejects. */
  refresh(request: RefreshRequest): Promise<RefreshOutcome>;
  /**
   * Asks the provider to end a grant by its refresh token, or its access token where there is none (RFC 7009, or the
   * provider's own way); some end it only by the access token. A 503 is tried again for up to 10 s. Resolves to what
   * went wrong, undefined where nothing did. Never rejects.
   *
   * @param client that the grant was made with; absent: the configured one
   */
  readonly revoke?:
    | ((token: Secret, accessToken?: Secret, client?: BoundClient) => Promise<string | undefined>)
    | undefined;
  /** How users log in there by themselves; absent where that is not configured. */
  readonly login?: CodeFlow | undefined;
  /**
   * How long the provider accepts a refresh token again after it has rotated it, ms; absent where it is not known to.
   */
  readonly graceMs?: number | undefined;
  /** True: it never rotates, so that presenting a refresh token changes nothing, however that ends. */
  readonly neverRotates?: boolean | undefined;
  /** True: the ID token of its logins is kept, as other tokens are asked for by it. */
  readonly keepsIdToken?: boolean | undefined;
  /** The most refreshes that this process asks of the provider at the same time. */
  readonly maxConcurrency: number;
  /** Milliseconds a refresh token lives where neither response nor store says so. */
  readonly refreshTokenLifeMs: number;
  /**
   * Milliseconds an access token lives where an answer does not say; absent: what the login or the last answer said,
   * and no expiry where nothing ever did.
   */
  readonly accessTokenLifeMs?: number | undefined;
  /** True: a refresh ends the access token before it, so that nothing is refreshed ahead of need. */
  readonly killsOldAccess: boolean;
}
