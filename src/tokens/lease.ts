import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { Change, ReadResult, TokenStore } from "../stores/token-store.ts";
import type { TokenMetrics } from "./metrics.ts";

/** The right to present one grant's refresh token, kept until `stop`. */
export interface Lease {
  /** What is surely left of it, ms: counted on the monotonic clock from before the store was asked. */
  leftMs(): number;
  /** Whether another attempt has the lease, or may have had it. */
  isLost(): boolean;
  /** Whether the store may have lost it and this process still tries to take it again. */
  mayReturn(): boolean;
  /** Renews it at once, because the store may have lost it. */
  check(): void;
  /** Its holder gives it up, and keeps it until the store knows: a renewal that fails from here on is no loss. */
  giveUp(): void;
  /** Ends the renewing; the lease itself is ended by commit, refuse or release. */
  stop(): void;
}

export interface LeaseDeps {
  readonly store: Pick<TokenStore, "acquire" | "read" | "release" | "renew">;
  /** Told of the version that the store has in place of the one being refreshed: the message about it may be lost. */
  readonly onMoved: (change: Change) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** A lease as it was acquired. */
export interface Leased {
  readonly key: GrantKey;
  readonly attempt: string;
  readonly version: string;
  /** Just before the acquire was sent, monotonic ms. */
  readonly askedAt: number;
  readonly leaseMs: number;
}

/**
 * `held`: renewed without a break. `lost`: the store once said that this attempt no longer has it. It is taken again
 * while the version stands, to keep others from the provider, but its holder presents nothing with it: another attempt
 * may have had it in between. `given_up`: kept only until the store knows of that. `stopped`: no longer renewed.
 */
type Standing = "held" | "lost" | "given_up" | "stopped";

/** What a renewal found; `gone`: the version moved on, or nothing is there; `busy`: another attempt has the lease. */
type Renewal =
  | { readonly kind: "renewed" | "taken_again" | "gone" | "unknown" }
  | { readonly kind: "busy"; readonly remainingMs: number };

/** A renewal that failed is tried again after this, ms. */
const retryMs = 1_000;

/** Renews a lease each time a third of its length has passed, and takes it again where the store has lost it. */
export function keepLease({ store, onMoved, clock, log, metrics }: LeaseDeps, leased: Leased): Lease {
  const { key, attempt, version, leaseMs } = leased;
  let until = leased.askedAt + leaseMs;
  let standing: Standing = "held";
  /** Set after a gap: a version that is missing may come back, as another process may restore it, and is waited for. */
  let versionMayReturn = false;
  let leaseMayReturn = false;
  let cancel = clock.after(leaseMs / 3, () => void renew());

  return {
    leftMs: () => (standing === "lost" ? 0 : until - clock.monotonicMs()),
    isLost: () => standing === "lost" || clock.monotonicMs() >= until,
    mayReturn: () => (versionMayReturn || leaseMayReturn) && standing !== "stopped",
    check() {
      versionMayReturn = true;
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
    leaseMayReturn = renewal.kind === "busy" || renewal.kind === "taken_again";
    cancel();
    if (renewal.kind === "gone" && !versionMayReturn) return;
    cancel = clock.after(nextAfter(renewal), () => void renew());
  }

  /** A lease in the way may be an old one that a failover brought back: nobody renews it, so it ends. */
  function nextAfter(renewal: Renewal): number {
    if (renewal.kind === "renewed" || renewal.kind === "taken_again") return leaseMs / 3;
    if (renewal.kind === "busy" && !versionMayReturn) return Math.min(renewal.remainingMs, leaseMs / 3);
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

  /** Takes the lease again only on the version being refreshed: this attempt has no right to refresh another one. */
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
      "the lease ended while the refresh ran: another replica may present the same refresh token. The answer is " +
        "stored all the same. If this repeats, look for a slow Redis, failovers or starved processes",
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

/** Gives a lease back without tokens. If the store does not take it, it runs out by itself. */
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
      "the store did not take a lease back: nothing is lost, but replicas wait until it runs out",
    );
  }
}
