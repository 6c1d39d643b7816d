import type { AccessToken } from "./access-token.ts";
import type { Coherence } from "./coherence.ts";
import { mayUse, type Owner } from "./owner.ts";

/**
 * How a token that this process holds may be served at once to this owner, at this instant, monotonic ms; undefined
 * where it may not. `borne`: only since the store has just failed to confirm it. Synchronous and cheap: the hot path.
 */
export type Serving = (owner: Owner, token: AccessToken, now: number) => "current" | "borne" | undefined;

export function createServing(coherence: Pick<Coherence, "isCurrent" | "isBearable">): Serving {
  return function serving(owner, { subject, staleAt, confirmedAt, unaskedUntil }, now) {
    if (!mayUse(owner, subject) || now >= staleAt) return undefined;
    if (coherence.isCurrent(confirmedAt, now)) return "current";
    const isBorne = unaskedUntil !== Number.NEGATIVE_INFINITY && coherence.isBearable(confirmedAt, now);
    return isBorne ? "borne" : undefined;
  };
}
