import type { AccessToken } from "./access-token.ts";
import type { Coherence } from "./coherence.ts";
import { mayUse, type Owner } from "./owner.ts";

/** Whether a token that this process holds may be served at once. */
export interface Serving {
  /** To this owner, at this instant, monotonic ms. Synchronous and cheap: the hot path. */
  isServable(owner: Owner, token: AccessToken, now: number): boolean;
  /** Whether it may be served only since the store has just failed to confirm it. */
  isBorne(token: AccessToken, now: number): boolean;
}

export function createServing(coherence: Pick<Coherence, "isCurrent" | "isBearable">): Serving {
  return {
    isServable: (owner, token, now) =>
      mayUse(owner, token.subject) &&
      now < token.staleAt &&
      (coherence.isCurrent(token.confirmedAt, now) || isBearable(token, now)),
    isBorne: (token, now) => !coherence.isCurrent(token.confirmedAt, now) && isBearable(token, now),
  };

  function isBearable({ unaskedUntil, confirmedAt }: AccessToken, now: number): boolean {
    return unaskedUntil !== Number.NEGATIVE_INFINITY && coherence.isBearable(confirmedAt, now);
  }
}
