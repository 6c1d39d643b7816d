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

/** What somebody entered. `user` is empty where there is none. */
export interface EnteredSecret {
  readonly user: string;
  readonly secret: string;
}

/** What is kept of it, or what is wrong with it: a sentence that quotes nothing of it. */
export type ReadSecret =
  | { readonly kind: "secret"; readonly token: Secret }
  | { readonly kind: "problem"; readonly why: string };

/** What a secret's trial showed. `unavailable`: nothing, as the server did not answer as it should. */
export type Verification =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "unavailable"; readonly why: string };

/** A secret that users have for an API, in place of a login. */
export interface SecretEntry {
  /** What users read of it. */
  readonly label: string;
  /** Where users find it. */
  readonly help?: string | undefined;
  /** What users read of the name that goes with it; absent: it is a secret alone. */
  readonly user?: string | undefined;
  /** What was entered, as it is kept and sent. */
  read(entered: EnteredSecret): ReadSecret;
  /** Tries it at the API; absent where any is kept. Never rejects. */
  readonly verify?: ((token: Secret) => Promise<Verification>) | undefined;
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
  /** What users enter in place of a login; absent where tokens come from an authorization server. */
  readonly secret?: SecretEntry | undefined;
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
