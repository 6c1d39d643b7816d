import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { Change, ReadResult, TokenStore } from "../stores/token-store.ts";
import type { TokenMetrics } from "./metrics.ts";

/** The right to present one grant's refresh token, kept until `stop`. */
export interface Lease {
  /** What is surely left of it, ms: counted from before the store was last asked, on the monotonic clock. */
  leftMs(): number;
  /** Somebody else may have had it, or has it. */
  isLost(): boolean;
  /** The store has perhaps lost it, and it is still being taken again. */
  mayReturn(): boolean;
  /** The store may have lost it: renews it now. */
  check(): void;
  /**
   * Its holder gives it up and keeps it until the store says so: a renewal that fails from here on tells of no loss.
   */
  giveUp(): void;
  /** Ends the renewing; the lease itself is ended by commit, refuse or release. */
  stop(): void;
}

export interface LeaseDeps {
  readonly store: Pick<TokenStore, "acquire" | "read" | "release" | "renew">;
  /** Told of the version that is there in place of the one being refreshed: word of it may have been lost. */
  readonly onMoved: (change: Change) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** What was acquired: by which attempt, of which version, how long before. */
export interface Leased {
  readonly key: GrantKey;
  readonly attempt: string;
  readonly version: string;
  /** Just before the acquire was sent, monotonic ms. */
  readonly askedAt: number;
  readonly leaseMs: number;
}

/** A renewal that failed is tried again after this, ms. */
const retryMs = 1_000;

/**
 * Renews a lease, a third of its length after each time. One that the store has lost in a failover is taken again, to
 * keep others from the provider while it works; but it stays lost for its holder: somebody else may have had it in
 * between.
 */
export function keepLease(
  { store, onMoved, clock, log, metrics }: LeaseDeps,
  { key, attempt, version, askedAt, leaseMs }: Leased,
): Lease {
  let until = askedAt + leaseMs;
  let lost = false;
  let stopped = false;
  let givenUp = false;
  /** Only then is a lease that is gone perhaps nobody's: else somebody has ended or taken it. */
  let maybeForgotten = false;
  let cancel = clock.after(leaseMs / 3, () => void renew());

  return {
    leftMs: () => (lost ? 0 : until - clock.monotonicMs()),
    isLost: () => lost || clock.monotonicMs() >= until,
    mayReturn: () => maybeForgotten && !stopped,
    check() {
      maybeForgotten = true;
      void renew();
    },
    giveUp() {
      givenUp = true;
    },
    stop() {
      stopped = true;
      cancel();
    },
  };

  async function renew(): Promise<void> {
    if (stopped) return;
    const asked = clock.monotonicMs();
    const renewed = await store.renew(key, attempt, leaseMs).catch(() => undefined);
    if (stopped) return;
    if (renewed) until = asked + leaseMs;
    if (renewed === false) lose();
    const held = renewed === false ? await takeAgain().catch(() => false) : renewed;
    cancel();
    if (!stopped && (held !== false || maybeForgotten))
      cancel = clock.after(held ? leaseMs / 3 : retryMs, () => void renew());
  }

  /**
   * Only of the version that is being refreshed: another one is not this attempt's, but others may yet write back what
   * it is waiting for.
   */
  async function takeAgain(): Promise<boolean> {
    const read = await store.read(key);
    const found = versionIn(read);
    if (found !== undefined && found !== version) onMoved({ ...key, version: found });
    return found === version && maybeForgotten && !stopped && acquireAgain();
  }

  async function acquireAgain(): Promise<boolean> {
    const found = await store.acquire(key, { attempt, seen: version, leaseMs, usableMs: 0, again: true });
    if (found.kind !== "acquired") return false;
    if (!stopped && found.row.version === version) return true;
    await store.release(key, { attempt, unused: true, backOffMs: 0 });
    return false;
  }

  function lose(): void {
    if (lost || givenUp) return;
    lost = true;
    metrics.count("lease_lost", key.upstream);
    log.warn(
      { event: "lease_lost", upstream: key.upstream, session: shortHash(key.session) },
      "the lease ended while the refresh ran; what comes back is stored all the same",
    );
  }
}

function versionIn(read: ReadResult): string | undefined {
  if (read.kind === "absent") return undefined;
  return read.kind === "found" ? read.row.version : read.version;
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
