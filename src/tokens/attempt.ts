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
      /** With the whole life the provider gave it, to be counted from `sentAt` (monotonic ms). */
      readonly access: StoredAccess | undefined;
      readonly sentAt: number;
    }
  /** Somebody else's newer token, found in the store when it was asked at `readAt` (monotonic ms). */
  | { readonly kind: "moved"; readonly row: GrantRow; readonly readAt: number }
  /** Somebody else's change is in the store: look again. */
  | { readonly kind: "superseded" }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string; readonly subject: string | undefined }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** What one turn led to: a result, or another turn: at once, or after waiting for others. */
export type Turn = RefreshResult | { readonly kind: "again" } | { readonly kind: "wait"; readonly ms: number };

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
  /** For so long an answer to an earlier presentation, which was given up, might come, ms. */
  readonly answerMs: number;
  /** {@link Journal.mark}, before and after the lease was acquired. */
  readonly since: number;
  readonly until: number;
  /** Monotonic ms. */
  readonly startedAt: number;
}

/** How long a call that hangs keeps others from presenting the same refresh token. */
export interface Patience {
  /** From its sending until the lease is given up, ms. The answer is awaited beyond that, for a minute at most. */
  readonly ms: number;
  /** Others may present the token beside the call only within a part of the grace; after that they wait it out. */
  readonly onlyInGrace: boolean;
}

/** A presentation whose request has left this process, at `sentAt` (monotonic ms). */
export type Sent =
  | { readonly kind: "answered"; readonly sentAt: number; readonly outcome: RefreshOutcome }
  /** Nobody waits for the answer any more; it is stored where it comes. */
  | {
      readonly kind: "given_up";
      readonly sentAt: number;
      readonly patience: Patience;
      readonly answer: Promise<RefreshOutcome>;
    };

/** What became of a presentation. */
export type Presented =
  | Sent
  /** The last look, in the moment of sending, forbade it. */
  | { readonly kind: "withheld" }
  /** The breaker is open, discovery failed, or no request could be made. */
  | { readonly kind: "not_sent"; readonly outcome: RefreshOutcome };
