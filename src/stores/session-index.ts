import { digestOf } from "../platform/digest.ts";

/** What an issuer calls a session, or whose it is: `sid` and `sub` of OpenID Connect. */
export interface SessionName {
  /** The source's name. */
  readonly source: string;
  readonly claim: "sid" | "sub";
  readonly value: string;
}

/**
 * From an issuer's names to the sessions that go by them, shared by all replicas: an issuer that ends a session does
 * not know our ids. They throw {@link BearerswapError} with code `store_unavailable`, `store_corrupt` or `store_full`.
 */
export interface SessionIndex {
  /** Adds a session's hash, to be found for so long at least, ms. */
  add(name: SessionName, session: string, lifeMs: number): Promise<void>;
  /** The hashes of all sessions under a name; some may have ended meanwhile. */
  find(name: SessionName): Promise<readonly string[]>;
}

/** Under what a name is kept, so that no store shows who the users are. */
export function sessionNameId({ source, claim, value }: SessionName): string {
  return digestOf(source, claim, value);
}
