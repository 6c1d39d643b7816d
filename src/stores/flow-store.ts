import type { SessionEnd } from "./token-store.ts";

/**
 * What a record is for. `state`: a login under way at a provider, as earlier versions kept it. `ticket`: an invitation
 * to connect. `session` and `seen`: a browser session that we issued, with its absolute and its idle lifetime.
 * `account`: the name of the account that a session is connected as. `logout`: a logout token that was carried out.
 * `key`: the key that seals logins under way in their browsers. `used`: such a login that has come back. `page`: who is
 * logged in on our pages. `client`: a client that an MCP server's provider has registered. `claim`: a replica is
 * registering one. `mark`: that an issuer has not ended such logins of a user, or of one of its sessions. `ask`: what a
 * session's user is to be asked for beyond what was granted. `asked`: that the user has answered. `identity`: which
 * account it is that a session is connected as. `issued`: what the id of the last `ticket` or `ask` was made of.
 * `minted`: an access token that replicas share. `minting`: a replica is asking for one. `ended`: when a session was
 * ended, for which tokens may be minted. `lives`: how long sessions' own tokens live. `rejected`: which minted token
 * its API rejected last. `held`: that rejections change nothing for now. `unminted`: why there is no token in place of
 * a rejected one. `attempt`: a secret that was entered is being tried, or was refused. `tried`: a secret was tried after
 * its API had rejected it. `use`: when a secret was last used. `using`: that this was noted lately.
 */
export type FlowKind =
  | ("state" | "ticket" | "session" | "seen" | "account" | "logout" | "key" | "used")
  | ("page" | "client" | "claim" | "mark")
  | ("ask" | "asked" | "identity" | "issued")
  | ("minted" | "minting" | "ended" | "lives" | "rejected" | "held" | "unminted")
  | ("attempt" | "tried" | "use" | "using");

/**
 * Small records that end by themselves, shared by all replicas, so that any of them can finish what another began. They
 * are kept apart from the grants: losing one costs a click, never a login. All operations throw {@link BearerswapError}
 * with code `store_unavailable`, `store_sealed`, `store_corrupt` or `store_full`.
 */
export interface FlowStore {
  /** Keeps a value for `lifeMs`. The first one that is put under an id stays. @returns whether this was the first */
  put(kind: FlowKind, id: string, value: string, lifeMs: number): Promise<boolean>;
  /** Keeps a value for `lifeMs`, in place of whatever is there. */
  set(kind: FlowKind, id: string, value: string, lifeMs: number): Promise<void>;
  /** The value, which stays. With `renewMs` it lives for that time from now on. */
  read(kind: FlowKind, id: string, renewMs?: number): Promise<string | undefined>;
  /** Takes the value away and returns it: only one caller gets it, also of several at the same time. */
  take(kind: FlowKind, id: string): Promise<string | undefined>;
  /**
   * Keeps for `lifeMs` when a session was ended, and tells the listeners of all replicas in one step. The latest end is
   * the one that is kept and told, in whichever order they come. A record that cannot be read is replaced.
   */
  end(end: SessionEnd, lifeMs: number): Promise<void>;
  close(): Promise<void>;
}
