/**
 * What a record is for. `state`: a login under way at a provider. `ticket`: an invitation to connect. `session` and
 * `seen`: a browser session that we issued, under its absolute and its idle lifetime. `account`: as whom a session is
 * connected, for people to read. `logout`: a logout token that was carried out. `key`: what seals logins under way in
 * their browsers. `used`: such a login that has come back.
 */
export type FlowKind = "state" | "ticket" | "session" | "seen" | "account" | "logout" | "key" | "used";

/**
 * Small records that end by themselves, shared by all replicas, so that any of them can finish what another began.
 * Beside the grants and not among them: losing one costs a click, never a login. They throw {@link BearerswapError}
 * with code `store_unavailable`, `store_sealed`, `store_corrupt` or `store_full`.
 */
export interface FlowStore {
  /** Keeps a value for so long, ms. The first one put under an id stays. @returns whether this was it */
  put(kind: FlowKind, id: string, value: string, lifeMs: number): Promise<boolean>;
  /** The value, which stays; with `renewMs` it lives for so long from now on. */
  read(kind: FlowKind, id: string, renewMs?: number): Promise<string | undefined>;
  /** The value, once: of several who take it at the same time one gets it. */
  take(kind: FlowKind, id: string): Promise<string | undefined>;
  close(): Promise<void>;
}
