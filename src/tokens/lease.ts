import type { Clock } from "../clock.ts";
import { messageOf } from "../error.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { TokenMetrics } from "../telemetry/metrics.ts";
import { type GrantKey, shortHash } from "./grant.ts";

/** The right to present one grant's refresh token, kept until `stop`. */
export interface Lease {
  /** What is surely left of it, ms: counted from before the store was last asked, on the monotonic clock. */
  leftMs(): number;
  /** Somebody else may have had it, or has it. */
  isLost(): boolean;
  /** Ends the renewing; the lease itself is ended by commit, refuse or release. */
  stop(): void;
}

export interface LeaseDeps {
  readonly store: Pick<TokenStore, "renew">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** A renewal that failed is tried again after this, ms. */
const retryMs = 1_000;

/** Renews a lease acquired with `askedAt` just before the acquire was sent, a third of its length after each time. */
export function keepLease({ store, clock, log, metrics }: LeaseDeps, key: GrantKey, attempt: string, askedAt: number, leaseMs: number): Lease {
  let until = askedAt + leaseMs;
  let lost = false;
  let stopped = false;
  let cancel = clock.after(leaseMs / 3, () => void renew());

  return {
    leftMs: () => (lost ? 0 : until - clock.monotonicMs()),
    isLost: () => lost || clock.monotonicMs() >= until,
    stop() {
      stopped = true;
      cancel();
    },
  };

  async function renew(): Promise<void> {
    const asked = clock.monotonicMs();
    const renewed = await store.renew(key, attempt, leaseMs).catch(() => undefined);
    if (stopped || lost) return;
    if (renewed === false) return lose();
    if (renewed) until = asked + leaseMs;
    cancel = clock.after(renewed ? leaseMs / 3 : retryMs, () => void renew());
  }

  function lose(): void {
    lost = true;
    metrics.count("lease_lost", key.upstream);
    log.warn(
      { event: "lease_lost", upstream: key.upstream, session: shortHash(key.session) },
      "the lease ended while the refresh ran; what comes back is stored all the same",
    );
  }
}

/** Gives a lease back without tokens. A store that does not take that lets the lease run out instead. */
export async function giveBack(
  { store, log }: { readonly store: Pick<TokenStore, "release">; readonly log: Log },
  key: GrantKey,
  release: Parameters<TokenStore["release"]>[1],
): Promise<void> {
  try {
    await store.release(key, release);
  } catch (error) {
    log.warn(
      { event: "release_failed", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) },
      "lease not given back: it runs out by itself",
    );
  }
}
