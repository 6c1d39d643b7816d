import type { Clock } from "../platform/clock.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { Attempt } from "./attempt.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import { type FlightTask, wordOrDelay } from "./flight-task.ts";

/** Without word of a change the store is asked this often, ms. */
const rereadMs = 500;

/**
 * Waits `ms` for another attempt that may have redeemed the refresh token of `version`: while its process lives, it
 * retries its commit at least once a second. True where the grant has moved or ended meanwhile. Throws what the store
 * throws: without a look at the store the token must not be presented.
 */
export async function holdOff(
  { store, clock }: { store: Pick<TokenStore, "read">; clock: Clock },
  task: FlightTask,
  version: string,
  ms: number,
): Promise<boolean> {
  const until = clock.monotonicMs() + ms;
  for (;;) {
    await wordOrDelay(clock, task, Math.min(rereadMs, until - clock.monotonicMs()));
    if (await hasMoved(store, task, version)) return true;
    if (clock.monotonicMs() >= until) return false;
  }
}

/** Whether the store no longer holds that version, or holds it dead. Throws what the store throws. */
export async function hasMoved(
  store: Pick<TokenStore, "read">,
  { key }: FlightTask,
  version: string,
): Promise<boolean> {
  const read = await store.read(key);
  return read.kind !== "found" || read.row.version !== version || read.row.state === "dead";
}

/**
 * Whether another attempt's marker is there, whose holder may be about to commit. Never where the provider does not
 * rotate: there a second presentation changes nothing.
 */
export function mayHaveBeenUsed(
  { task, row, earlier, gate }: Pick<Attempt, "row" | "earlier" | "gate"> & { readonly task: Pick<FlightTask, "key"> },
  endedAttempts: EndedAttempts,
): boolean {
  return earlier !== undefined && !gate.rotation.isNever() && !endedAttempts.areAll(task.key, row.version, earlier);
}
