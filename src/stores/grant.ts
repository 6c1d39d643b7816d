import type { BoundClient } from "../platform/bound-client.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Secret } from "../platform/secret.ts";

/** Which grant is meant. */
export interface GrantKey {
  /** See {@link hashSession}. */
  readonly session: string;
  /** The upstream's name in the configuration. */
  readonly upstream: string;
}

/** The ID token of a user's login, by which other tokens are asked for. */
export interface KeptIdToken {
  readonly token: Secret;
  /** When it ends, epoch ms, by the clock of the machine that got it. */
  readonly until: number;
}

/** What a user's login at a provider gave us and every refresh renews; or a secret that its user entered. */
export interface Grant {
  /** True: its access token is a secret, which is never refreshed, and has no end but what somebody does. */
  readonly isSecret?: true | undefined;
  /** Absent where the provider gave none: the grant then ends with its access token. */
  readonly refreshToken?: Secret | undefined;
  /**
   * The client that it was made with, where that is not simply the configured one: the tokens are shown to this
   * client's issuer alone.
   */
  readonly client?: BoundClient | undefined;
  /** Only where tokens are asked for by it (`crossApp`), and lost where a version before this one has refreshed. */
  readonly idToken?: KeptIdToken | undefined;
  /** Space-separated scope (RFC 6749 §3.3). */
  readonly scope?: string | undefined;
  /** Whose session may use it; compared where the session's source states a subject. */
  readonly subject?: string | undefined;
  /**
   * The whole life that the provider last stated for an access token, ms: later answers may leave it out. Unknown in
   * rows of versions that did not keep it.
   */
  readonly accessLifeMs?: number | undefined;
  /**
   * When the user logged in, epoch ms. It is equal in everything that comes of one login, and different after another
   * one. It is only compared for equality.
   */
  readonly createdAt: number;
  /** When the tokens last changed, epoch ms. It is for people to read; nothing is decided by it. */
  readonly refreshedAt: number;
}

/** An access token with the life it has left. */
export interface StoredAccess {
  readonly token: Secret;
  /** Milliseconds left, counted from just before the store was asked; absent where the provider stated no expiry. */
  readonly remainingMs?: number | undefined;
  /** Milliseconds it had when issued; absent where the provider stated no expiry. */
  readonly lifeMs?: number | undefined;
}

/** How long a grant is kept. */
export interface GrantLife {
  /** Milliseconds from now. */
  readonly ms: number;
  /** The provider stated this life (`refresh_expires_in`): reads do not extend it. */
  readonly stated: boolean;
}

/**
 * The id under which a session's grants are kept: base64url(SHA-256(source name, NUL, session id)). Two sources never
 * share one.
 */
export function hashSession(source: string, id: string): string {
  return digestOf(source, id);
}

/**
 * The same for sessions whose rows ToolHive writes, which finds them by their `tsid`: that follows the hash, whichever
 * source has named it. See {@link toolhiveSid}.
 */
export function toolhiveSession(sid: string): string {
  return `${digestOf("toolhive", sid)}.${sid}`;
}

/** The `tsid` of such a session; undefined of any other. */
export function toolhiveSid(session: string): string | undefined {
  return session[hashLength] === "." ? session.slice(hashLength + 1) : undefined;
}

/** SHA-256 in base64url, in characters. */
const hashLength = 43;

/** The short form of a session hash that logs show. */
export function shortHash(session: string): string {
  return session.slice(0, 12);
}

/** A grant as a key of maps in this process. */
export function grantId({ session, upstream }: GrantKey): string {
  return `${session}:${upstream}`;
}

/** Names one version of one grant. */
export function versionId(key: GrantKey, version: string): string {
  return `${grantId(key)} ${version}`;
}

/** Whether an error is about one row alone, which is sealed with an unknown key or damaged. */
export function isUnreadable(error: unknown): error is BearerswapError {
  return error instanceof BearerswapError && (error.code === "store_sealed" || error.code === "store_corrupt");
}

/**
 * Who changed a grant: the user on our pages, an operator by the admin API, the session's issuer by a logout, or the
 * provider, which refused its refresh token.
 */
export type Actor = "user" | "admin" | "issuer" | "provider";

/**
 * What each log line on a change of a grant says beside its event. Lines with `audit: true` are those, and no other
 * lines are; docs/operations.md lists their events.
 *
 * @param subject the grant's subject; undefined or empty where its session's source states none, or it is not known
 */
export function auditOf({ session, upstream }: GrantKey, by: Actor, subject?: string): Record<string, unknown> {
  return { audit: true, by, upstream, session: shortHash(session), ...(subject ? { subject } : {}) };
}
