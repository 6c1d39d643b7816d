import type { Clock } from "../platform/clock.ts";
import type { TokenStore } from "../stores/token-store.ts";
import { type FlightTask, wordOrDelay } from "./flight-task.ts";

/** Without word of a change the store is asked this often, ms. */
const rereadMs = 500;

/**
 * Gives somebody else who may have redeemed the refresh token of `version` the time to commit: a live holder's commit
 * is retried at least once a second. True where the grant has moved or ended meanwhile. Throws what the store throws:
 * who cannot look must not present.
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

/** Whether the store holds something else than that version, alive. Throws what the store throws. */
export async function hasMoved(
  store: Pick<TokenStore, "read">,
  { key }: FlightTask,
  version: string,
): Promise<boolean> {
  const read = await store.read(key);
  return read.kind !== "found" || read.row.version !== version || read.row.state === "dead";
}
