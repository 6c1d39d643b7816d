import type { Grant, GrantKey, GrantLife, StoredAccess } from "../tokens/grant.ts";

/** A grant as the store holds it. */
export interface GrantRow {
  /** Random id, new on every put and commit. Compared only for equality. */
  readonly version: string;
  readonly state: "active" | "dead";
  /** Why it is dead, in the provider's words; absent while active. */
  readonly why?: string | undefined;
  readonly grant: Grant;
  /** Absent once it expired, or where only a refresh token was put. */
  readonly access?: StoredAccess | undefined;
  /** How much longer the store keeps the grant. */
  readonly life: GrantLife;
}

/** What a read finds. */
export type ReadResult =
  | { readonly kind: "absent" }
  | { readonly kind: "revoked"; readonly version: string }
  | { readonly kind: "found"; readonly row: GrantRow };

/** New contents of a grant. */
export interface GrantWrite {
  /** The new version. A write repeated with the same version is the same write: safe after a lost reply. */
  readonly version: string;
  readonly grant: Grant;
  readonly access?: StoredAccess | undefined;
  readonly life: GrantLife;
}

/** What a commit found: `superseded` means that a newer login or refresh is there and stays; `revoked` that a tombstone is there and stays. */
export type CommitResult = "written" | "superseded" | "revoked";

/** What a refusal found: `superseded` means that the refused refresh token was no longer the stored one. */
export type RefuseResult = "dead" | "superseded" | "revoked" | "absent";

/**
 * Where grants live. Every operation is atomic and can be repeated. They throw {@link BearerswapError} with code `store_unavailable`
 * (unknown whether a write happened), `store_corrupt` or `store_full`; a failure never means that a grant is gone.
 */
export interface TokenStore {
  /** One round trip. Extends the life of a grant with under half of its life left, unless the provider stated that life. */
  read(key: GrantKey): Promise<ReadResult>;
  /** A login: replaces whatever is there, a tombstone or a dead grant too. */
  put(key: GrantKey, write: GrantWrite): Promise<void>;
  /** A refresh: written where the stored version still is `from`, also if dead; recreated where the grant was lost. */
  commit(key: GrantKey, from: string, write: GrantWrite): Promise<CommitResult>;
  /** The provider refused the refresh token of version `from`: marks the grant dead and keeps its version. */
  refuse(key: GrantKey, from: string, why: string): Promise<RefuseResult>;
  /** Leaves a tombstone of the given version, for as long as the grant would have lived and a day at least, so that no refresh under way brings it back. False where there was no grant. */
  revoke(key: GrantKey, version: string): Promise<boolean>;
  /** The upstreams for which the session holds a grant or a tombstone. `candidates` are looked at even where the session's index lost them. */
  list(session: string, candidates: readonly string[]): Promise<readonly string[]>;
  /** Resolves once the store has answered. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A tombstone stays at least this long, ms: longer than any refresh that could still be under way. */
export const minTombstoneMs = 24 * 60 * 60 * 1_000;
