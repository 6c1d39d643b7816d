import type { RefreshOutcome } from "../providers/outcome.ts";
import type { Grant, StoredAccess } from "../stores/grant.ts";
import type { EarlierAttempts, GrantRow } from "../stores/token-store.ts";
import type { FlightTask } from "./flight-task.ts";
import type { Gate } from "./gate.ts";
import type { Lease } from "./lease.ts";

/** What a refresh led to. */
export type RefreshResult =
  | {
      readonly kind: "refreshed";
      readonly version: string;
      readonly grant: Grant;
      /** Its `remainingMs` is the whole life that the provider gave it, counted from `sentAt` (monotonic ms). */
      readonly access: StoredAccess | undefined;
      readonly sentAt: number;
    }
  /** The store, asked at `readAt` (monotonic ms), holds a newer token. */
  | { readonly kind: "moved"; readonly row: GrantRow; readonly readAt: number }
  /** The grant was changed meanwhile and has to be read again. */
  | { readonly kind: "superseded" }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string; readonly subject: string | undefined }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** What one turn led to: a result, or another turn, which begins at once or after a wait for others. */
export type Turn =
  | RefreshResult
  | { readonly kind: "again"; readonly why: "lease_too_short" | "store_went_back" | "store_slow" }
  | { readonly kind: "wait"; readonly ms: number };

/** One attempt to refresh, which has the lease and may present the refresh token once. */
export interface Attempt {
  readonly task: FlightTask;
  readonly gate: Gate;
  /** As it was when the lease was acquired. */
  readonly row: GrantRow;
  readonly id: string;
  readonly lease: Lease;
  readonly earlier: EarlierAttempts | undefined;
  readonly failures: number;
  /** How long the provider may still answer an earlier call that was given up, ms. */
  readonly answerMs: number;
  /** {@link Journal.mark}, before and after the lease was acquired. */
  readonly markBefore: number;
  readonly markAfter: number;
  /** Monotonic ms. */
  readonly startedAt: number;
}

/** How long a call that hangs keeps others from presenting the same refresh token. */
export interface Patience {
  /** From the sending until the lease is given up, ms. An answer is awaited up to a minute after the sending. */
  readonly ms: number;
  /**
   * Others may present the token beside this call only early in the grace; later they wait until it cannot be answered.
   */
  readonly onlyInGrace: boolean;
}

/** A presentation whose request has left this process, at `sentAt` (monotonic ms). */
export type Sent =
  | { readonly kind: "answered"; readonly sentAt: number; readonly outcome: RefreshOutcome }
  /** No request waits for the answer any more; if it comes, it is stored. */
  | {
      readonly kind: "given_up";
      readonly sentAt: number;
      readonly patience: Patience;
      readonly answer: Promise<RefreshOutcome>;
    };

/** What became of a presentation. */
export type Presented =
  | Sent
  /** The check in the moment of sending forbade it. */
  | { readonly kind: "withheld" }
  /** The breaker is open, discovery failed, or no request could be made. */
  | { readonly kind: "not_sent"; readonly outcome: RefreshOutcome };
