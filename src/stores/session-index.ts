import { digestOf } from "../platform/digest.ts";

/** What an issuer calls a session, or whose it is: `sid` and `sub` of OpenID Connect. */
export interface SessionName {
  /** The source's name. */
  readonly source: string;
  readonly claim: "sid" | "sub";
  readonly value: string;
}

/**
 * Finds sessions by the names that their issuer has for them, since an issuer that ends a session does not know our
 * ids. All replicas share it. Its operations throw {@link BearerswapError} with code `store_unavailable`,
 * `store_corrupt` or `store_full`.
 */
export interface SessionIndex {
  /** Adds a session's hash, which is then found for at least `lifeMs`. */
  add(name: SessionName, session: string, lifeMs: number): Promise<void>;
  /** The hashes of all sessions under a name; some may have ended meanwhile. */
  find(name: SessionName): Promise<readonly string[]>;
  /** Takes sessions away from a name. */
  remove(name: SessionName, sessions: readonly string[]): Promise<void>;
}

/** The hash under which a name is kept, so that the store does not show who the users are. */
export function sessionNameId({ source, claim, value }: SessionName): string {
  return digestOf(source, claim, value);
}
