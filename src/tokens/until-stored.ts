import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";

/**
 * A write that the store did not take is tried again this often, ms. It has to be less than the hold-off, which others
 * keep before they present the same token.
 */
const storeRetryMs = 1_000;
/** Of a write that keeps failing, one try in this many is logged. */
const logEvery = 30;

/**
 * Repeats a write until the store has taken it: a try each second, also while an earlier one hangs. Each try has to
 * send the same write, as an earlier one may have been carried out. Rejects with the last error once `giveUpMs` have
 * passed.
 */
export function untilStored<T>(
  clock: Clock,
  write: () => Promise<T>,
  giveUpMs: number,
  onError: (error: unknown) => void,
): Promise<T> {
  const giveUpAt = clock.monotonicMs() + giveUpMs;
  return new Promise((resolve, reject) => {
    let done = false;
    let cancel = () => {};
    attempt();

    function attempt(): void {
      write().then(finish, (error: unknown) => {
        if (done) return;
        onError(error);
        if (clock.monotonicMs() < giveUpAt) return;
        end();
        reject(error);
      });
      if (clock.monotonicMs() < giveUpAt) cancel = clock.after(storeRetryMs, attempt);
    }

    function finish(value: T): void {
      end();
      resolve(value);
    }

    function end(): void {
      done = true;
      cancel();
    }
  });
}

/** Logs the first of many failures of one write, and one of each thirty that follow. */
export function logNowAndThen(
  log: Log,
  event: string,
  { upstream, session }: GrantKey,
  message: string,
): (error: unknown) => void {
  let failures = 0;
  return (error) => {
    if (failures++ % logEvery === 0)
      log.error({ event, upstream, session: shortHash(session), reason: messageOf(error) }, message);
  };
}
