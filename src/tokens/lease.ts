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
  /** The store no longer has it, and it is still being taken again. */
  mayReturn(): boolean;
  /** The store may have lost it: renews it now. */
  check(): void;
  /** Its holder gives it up and keeps it until the store says so: a renewal that fails from here on tells of no loss. */
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

/**
 * `held`: renewed without a break. `lost`: the store said once that somebody else may have it; it is taken again where
 * the version stands, to keep others from the provider, but stays lost for its holder. `given_up`: kept only until the
 * store has heard that. `stopped`: nothing is done any more.
 */
type Standing = "held" | "lost" | "given_up" | "stopped";

/** What a renewal found; `gone`: the version moved on, or nothing is there; `busy`: another attempt has the lease. */
type Renewal =
  | { readonly kind: "renewed" | "taken_again" | "gone" | "unknown" }
  | { readonly kind: "busy"; readonly remainingMs: number };

/** A renewal that failed is tried again after this, ms. */
const retryMs = 1_000;

/** Renews a lease, a third of its length after each time, and takes it again where the store has lost it. */
export function keepLease({ store, onMoved, clock, log, metrics }: LeaseDeps, leased: Leased): Lease {
  const { key, attempt, version, leaseMs } = leased;
  let until = leased.askedAt + leaseMs;
  let standing: Standing = "held";
  /** After a gap a version that is not there may come back: somebody else writes it back, and it is waited for. */
  let mayComeBack = false;
  let isReturning = false;
  let cancel = clock.after(leaseMs / 3, () => void renew());

  return {
    leftMs: () => (standing === "lost" ? 0 : until - clock.monotonicMs()),
    isLost: () => standing === "lost" || clock.monotonicMs() >= until,
    mayReturn: () => (mayComeBack || isReturning) && standing !== "stopped",
    check() {
      mayComeBack = true;
      void renew();
    },
    giveUp() {
      if (standing === "held") standing = "given_up";
    },
    stop() {
      standing = "stopped";
      cancel();
    },
  };

  async function renew(): Promise<void> {
    if (isStopped()) return;
    const askedAt = clock.monotonicMs();
    const renewal = await ask();
    if (isStopped()) return;
    if (renewal.kind === "renewed") until = askedAt + leaseMs;
    isReturning = renewal.kind === "busy" || renewal.kind === "taken_again";
    cancel();
    if (renewal.kind === "gone" && !mayComeBack) return;
    cancel = clock.after(nextAfter(renewal), () => void renew());
  }

  /** A lease that stands in the way may be one of the past, brought back: nobody renews it, and it ends. */
  function nextAfter(renewal: Renewal): number {
    if (renewal.kind === "renewed" || renewal.kind === "taken_again") return leaseMs / 3;
    if (renewal.kind === "busy" && !mayComeBack) return Math.min(renewal.remainingMs, leaseMs / 3);
    return retryMs;
  }

  async function ask(): Promise<Renewal> {
    try {
      if (await store.renew(key, attempt, leaseMs)) return { kind: "renewed" };
      lose();
      return await takeAgain();
    } catch {
      return { kind: "unknown" };
    }
  }

  /** Only of the version that is being refreshed: another one is not this attempt's. */
  async function takeAgain(): Promise<Renewal> {
    if (isStopped()) return { kind: "gone" };
    const found = versionIn(await store.read(key));
    if (found !== undefined && found !== version) onMoved({ ...key, version: found });
    if (found !== version || isStopped()) return { kind: "gone" };
    const acquired = await store.acquire(key, { attempt, seen: version, leaseMs, usableMs: 0, again: true });
    if (acquired.kind === "busy") return acquired;
    if (acquired.kind !== "acquired") return { kind: "gone" };
    if (!isStopped() && acquired.row.version === version) return { kind: "taken_again" };
    await store.release(key, { attempt, unused: true, backOffMs: 0 });
    return { kind: "gone" };
  }

  function lose(): void {
    if (standing !== "held") return;
    standing = "lost";
    metrics.count("lease_lost", key.upstream);
    log.warn(
      { event: "lease_lost", upstream: key.upstream, session: shortHash(key.session) },
      "the lease ended while the refresh ran; what comes back is stored all the same",
    );
  }

  function isStopped(): boolean {
    return standing === "stopped";
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
