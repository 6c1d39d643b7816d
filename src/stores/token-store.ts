import type { Secret } from "../platform/secret.ts";
import type { Grant, GrantKey, GrantLife, StoredAccess } from "./grant.ts";

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
  /** Milliseconds until its refresh token may be presented again; 0 if it may be now. */
  readonly backOffMs: number;
  /**
   * Milliseconds since the first of the refreshes that have failed since the last login or refresh; absent where none
   * has.
   */
  readonly failingMs?: number | undefined;
  /** An API rejected the access token of this version. */
  readonly isRejected: boolean;
}

/** What a read finds. */
export type ReadResult =
  | { readonly kind: "absent" }
  | { readonly kind: "revoked"; readonly version: string }
  | { readonly kind: "found"; readonly row: GrantRow };

/** What stands beside a grant between its refreshes. */
export interface Standing {
  /** The attempt that has the lease, with the time that it has it at most; absent where none has. */
  readonly lease?: { readonly attempt: string; readonly remainingMs: number } | undefined;
  /** Absent where the refresh token was surely not used. */
  readonly earlier?: EarlierAttempts | undefined;
  /** Refreshes in a row that ended without tokens. */
  readonly failures: number;
  /** How long the answer to a call that was given up may still come, ms. */
  readonly answerMs: number;
  /** For how long rejections of its access token change nothing, ms. */
  readonly rejectionHoldMs: number;
  /** For how long nobody may acquire it, ms: what the server has lost is being written back. */
  readonly quietMs: number;
  /** It was written in another history than the server's: whoever acquires it next begins such a time. */
  readonly isOlder: boolean;
}

/** What a look finds. */
export type PeekResult =
  | Exclude<ReadResult, { readonly kind: "found" }>
  | { readonly kind: "found"; readonly row: GrantRow; readonly standing: Standing };

/** New contents of a grant. */
export interface GrantWrite {
  /** The new version. A write repeated with the same version is the same write: safe after a lost reply. */
  readonly version: string;
  readonly grant: Grant;
  readonly access?: StoredAccess | undefined;
  readonly life: GrantLife;
  /** The refresh token that these tokens were got by; absent for a login. */
  readonly presented?: Secret | undefined;
}

/** A request for the right to present a grant's refresh token for a while. */
export interface LeaseRequest {
  /** Random id of this attempt; an acquire repeated with it is the same acquire. */
  readonly attempt: string;
  /** The version that the caller has seen and wants replaced. */
  readonly seen: string;
  readonly leaseMs: number;
  /** A token of another version is adopted where it has more than this left, ms. */
  readonly usableMs: number;
  /**
   * How long after its first presentation a token may be presented again while an earlier presentation, which was given
   * up, may still be answered, ms; default 0.
   */
  readonly overlapMs?: number | undefined;
  /**
   * This attempt had the lease before, and the store has lost it: it waits neither for the end of a commit's `quietMs`,
   * nor for the answer to a call that was given up.
   */
  readonly again?: boolean | undefined;
  /**
   * How long nobody may acquire a row that was written in another history than the server's, ms; default 0. What was
   * written after that row may be lost, and the process that has it needs the time to write it back.
   */
  readonly quietMs?: number | undefined;
}

/** Presentations of a refresh token that have begun and of which it is not known that they left the token unused. */
export interface EarlierAttempts {
  readonly count: number;
  /** Since the first of them was begun, ms. */
  readonly sinceMs: number;
}

/** What an acquire finds, and whether it got the lease. */
export type AcquireResult =
  /** A newer access token that can be served is there, so that nothing has to be refreshed. */
  | { readonly kind: "moved"; readonly row: GrantRow }
  /** A refresh failed lately, and nobody may present the token for `remainingMs`. */
  | { readonly kind: "back_off"; readonly remainingMs: number }
  /** The provider has refused the refresh token. */
  | { readonly kind: "dead"; readonly row: GrantRow }
  | { readonly kind: "revoked" }
  | { readonly kind: "absent" }
  /** Another attempt has the lease, for `remainingMs` at most. */
  | { readonly kind: "busy"; readonly remainingMs: number }
  /**
   * The lease is the caller's, and the marker is written. Before, `failures` in a row have ended without tokens, and
   * one that was given up may still be answered for `answerMs`.
   */
  | {
      readonly kind: "acquired";
      readonly row: GrantRow;
      readonly earlier: EarlierAttempts | undefined;
      readonly failures: number;
      readonly answerMs: number;
    };

/** How an attempt ended that has nothing to commit. */
export interface Release {
  readonly attempt: string;
  /** The refresh token was surely not used: the marker of this attempt is taken back. */
  readonly unused: boolean;
  /** How long nobody may present the token, ms. With 0 there is no back-off, and it does not count as a failure. */
  readonly backOffMs: number;
  /**
   * How long the answer to the call, which was given up, may still come, ms. In that time the token is presented only
   * within {@link LeaseRequest.overlapMs}.
   */
  readonly answerMs?: number | undefined;
}

/**
 * What a commit found: `already` means that this very write was there and nothing was changed; `superseded` that a
 * newer login or refresh is there and stays; `revoked` that a tombstone is there and stays; `deleted` that others who
 * write to the store have ended the grant.
 */
export type CommitResult = "written" | "already" | "superseded" | "revoked" | "deleted";

/**
 * What a login found: `already` means that this very write was there and nothing was changed; `superseded` that another
 * version than the one to be replaced is there and stays.
 */
export type PutResult = "written" | "already" | "superseded";

/** How a rejection of an access token by its API is taken. */
export interface Rejection {
  /** The grant cannot be refreshed: the token is only marked, and stays. */
  readonly stays: boolean;
  /**
   * For how long the token is left as it is if its predecessor was rejected too, ms. It is doubled each time, up to
   * `longestHoldMs`. That long after the last rejection all are forgotten.
   */
  readonly firstHoldMs: number;
  readonly longestHoldMs: number;
}

/**
 * What a rejection found. `held`: refreshing has not helped before, and nothing is changed for `remainingMs`.
 * `superseded`: the version is not the stored one, or the grant has ended.
 */
export type RejectResult =
  | { readonly kind: "rejected" | "superseded" }
  | { readonly kind: "held"; readonly remainingMs: number };

/** What a refusal found: `superseded` means that the refused refresh token was no longer the stored one. */
export type RefuseResult = "dead" | "superseded" | "revoked" | "absent";

/**
 * A grant was changed, perhaps by this process: version and tokens, or only the lease (then the version is a known
 * one).
 */
export interface Change extends GrantKey {
  readonly version: string;
  /** The access token of that version was rejected by its API: it must not be served any more. */
  readonly isRejected?: true;
}

/** A session was ended, perhaps by this process: nothing is minted any more for what it was until then. */
export interface SessionEnd {
  readonly session: string;
  /** Epoch ms, by the clock of the session's issuer where that one has said it. */
  readonly endedAt: number;
}

/** What the store tells its listener. */
export interface ChangeListener {
  changed(change: Change): void;
  ended(end: SessionEnd): void;
  /** All changes and ends made before that moment (monotonic ms) have been heard, unless there was a gap before it. */
  heard(at: number): void;
  /**
   * Changes may have been missed, and writes lost: a subscription or a connection began (anew), or a server says that
   * its data belong to another history than before.
   */
  gap(): void;
  /** Whether servers say which history their data belong to. Where they do not, writes can be lost without a gap. */
  tellsHistory(tells: boolean): void;
}

/**
 * Where grants live. Every operation on a grant is atomic and can be repeated. They throw {@link BearerswapError} with
 * code `store_unavailable` (unknown whether a write happened), `store_corrupt`, `store_sealed` or `store_full`; a
 * failure never means that a grant is gone.
 */
export interface TokenStore {
  /**
   * Others than our replicas write to it, who tell nobody: then whoever has heard every change does not know of all.
   * Default false.
   */
  readonly hasOtherWriters?: boolean | undefined;
  /**
   * One round trip. Extends the life of a grant with under half of its life left, unless the provider stated that life.
   */
  read(key: GrantKey): Promise<ReadResult>;
  /** Like `read`, for somebody who only looks: nothing is changed, the grant's life included. */
  peek(key: GrantKey): Promise<PeekResult>;
  /**
   * Writes a login. With `over` it replaces only that version, which may be a tombstone's or a dead grant's, or fills
   * an empty place; the empty text is the version of nothing. Without `over` it replaces whatever is there, also a row
   * that cannot be read.
   */
  put(key: GrantKey, write: GrantWrite, over?: string): Promise<PutResult>;
  /** Takes the lease for one presentation of the refresh token and writes its marker, unless something forbids it. */
  acquire(key: GrantKey, request: LeaseRequest): Promise<AcquireResult>;
  /** Extends the lease of an attempt; false where it is no longer that attempt's. */
  renew(key: GrantKey, attempt: string, leaseMs: number): Promise<boolean>;
  /** Gives the lease back without tokens; false where it was no longer that attempt's, and then nothing is changed. */
  release(key: GrantKey, release: Release): Promise<boolean>;
  /**
   * Writes a refresh if the stored version still is `from`, even if the grant is dead or another attempt has the lease,
   * and creates a grant again that was lost. Where others write to the store as well, a version of theirs is replaced
   * too that has the refresh token that was `presented`. Ends the lease, the marker and the back-off. Afterwards nobody
   * may acquire the grant for `quietMs`: for a write that the store had lost, perhaps with what came after it.
   */
  commit(key: GrantKey, from: string, write: GrantWrite, quietMs?: number): Promise<CommitResult>;
  /**
   * Marks the grant dead, as the provider refused the refresh token of version `from`, and keeps its version. Ends the
   * lease, the marker and the back-off.
   */
  refuse(key: GrantKey, from: string, why: string): Promise<RefuseResult>;
  /**
   * Notes that an API rejected the access token of that version, and drops the token. Nobody is kept from refreshing,
   * and lease, marker and back-off stay. It is remembered across refreshes, until a login.
   */
  reject(key: GrantKey, version: string, rejection: Rejection): Promise<RejectResult>;
  /**
   * Leaves a tombstone of the given version, for as long as the grant would have lived and a day at least, so that no
   * refresh under way brings it back. With `from` only in place of that version, or of nothing. Resolves to the version
   * of the grant that was there (its own when repeated); undefined where none was, or another than `from`.
   */
  revoke(key: GrantKey, version: string, from?: string): Promise<string | undefined>;
  /**
   * The upstreams for which the session holds a grant or a tombstone. `candidates` are looked at even where the
   * session's index lost them.
   */
  list(session: string, candidates: readonly string[]): Promise<readonly string[]>;
  /** Tells the listeners of all replicas of what is in none of the grants. It may get lost on the way. */
  announce(news: Change | SessionEnd): Promise<void>;
  /** Calls the listener for changes from now on, until the store is closed. */
  listen(listener: ChangeListener): void;
  /** Resolves once the store has answered. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A tombstone stays at least this long, ms: longer than any refresh that could still be under way. */
export const minTombstoneMs = 24 * 60 * 60 * 1_000;
