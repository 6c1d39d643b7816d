import type { Provider } from "../providers/provider.ts";
import type { Grant, StoredAccess } from "../stores/grant.ts";
import type { EarlierAttempts, GrantRow } from "../stores/token-store.ts";
import type { FlightTask } from "./flight-task.ts";
import type { Lease } from "./lease.ts";

import type { Rotation } from "./rotation.ts";

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

/** One presentation of a refresh token, begun with the lease. */
export interface Presentation {
  readonly task: FlightTask;
  readonly provider: Provider;
  readonly rotation: Rotation;
  /** As it was when the lease was acquired. */
  readonly row: GrantRow;
  readonly attempt: string;
  readonly lease: Lease;
  readonly earlier: EarlierAttempts | undefined;
  readonly failures: number;
  /** For so long an answer to an earlier one, which was given up, might come, ms. */
  readonly answerMs: number;
  /** {@link Recommits.mark}, before and after the lease was acquired. */
  readonly since: number;
  readonly until: number;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** Just before the request was sent, monotonic ms; undefined as long as it was not. */
  sentAt: number | undefined;
  /** Set where no answer had come in that time. */
  givenUp: Patience | undefined;
}

/** A presentation whose request has left this process. */
export type SentPresentation = Presentation & { readonly sentAt: number };

export function isSent(presentation: Presentation): presentation is SentPresentation {
  return presentation.sentAt !== undefined;
}

/** How long a call that hangs keeps others from presenting the same refresh token. */
export interface Patience {
  /**
   * From its sending until the lease is given up, ms. The answer is awaited beyond that, up to {@link latestAnswerMs}.
   */
  readonly ms: number;
  /**
   * Others may present the token beside the call only within {@link overlapMs}: after that they wait until no answer
   * can come any more.
   */
  readonly onlyInGrace: boolean;
}
