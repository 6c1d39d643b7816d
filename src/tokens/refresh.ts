import pLimit from "p-limit";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { AcquireResult, Change, GrantRow, TokenStore } from "../stores/token-store.ts";
import { usableMs } from "./access-token.ts";
import { createBreaker } from "./breaker.ts";
import type { Coherence } from "./coherence.ts";
import { createEndedAttempts } from "./ended-attempts.ts";
import { changeOrDelay, type FlightTask } from "./flight-task.ts";
import { type Gate, inSlot, type Settlement, type Turn } from "./gate.ts";
import { holdOff } from "./hold-off.ts";
import { keepLease, type Lease } from "./lease.ts";
import type { TokenMetrics } from "./metrics.ts";
import { overlapMs, type PatienceConfig } from "./patience.ts";
import { createPresent } from "./present.ts";
import { isSent, type Presentation, type RefreshResult } from "./presentation.ts";
import type { Recommits } from "./recommits.ts";
import { createRotation } from "./rotation.ts";
import { createSettle } from "./settle.ts";

/**
 * `timeoutMs` is how long a provider may take until nobody waits for it any more; `holdOffMs` how long an attempt waits
 * where an earlier one may have redeemed the token.
 */
export interface RefreshConfig extends PatienceConfig {
  /** So long word of a change may be missing without anybody knowing, ms. */
  readonly maxStalenessMs: number;
}

export interface RefresherDeps {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly recommits: Recommits;
  readonly coherence: Pick<Coherence, "isCurrent" | "lastGapAt">;
  /** A refresh under way has found another version in the store. */
  readonly onMoved: (change: Change) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: RefreshConfig;
}

/**
 * Replaces a grant's tokens: breaker, concurrency slot, lease, hold-off, one presentation of the refresh token, and the
 * store. Invariants: nobody presents a refresh token without the lease on its grant; what the provider answers is in
 * the store before anybody is served.
 */
export interface Refresher {
  refresh(task: FlightTask, row: GrantRow): Promise<RefreshResult>;
  /** Whether this process writes that version just now: its flight knows. */
  isWriting(version: string): boolean;
  /**
   * The store may just have lost something: leases are taken again before others, who hold off after it, look for them.
   */
  gap(): void;
  /** The grants whose new tokens are not in the store yet. */
  unstored(): readonly FlightTask["key"][];
  /** The grants for which the answer to a call that was given up may still come. */
  awaited(): readonly FlightTask["key"][];
  /** Resolves when no call that was given up can be answered any more. */
  settled(): Promise<void>;
}

/** The lease outlives the provider call by this, ms. */
const leaseReserveMs = 5_000;

const superseded: Settlement = () => Promise.resolve({ kind: "superseded" });

export function createRefresher(deps: RefresherDeps): Refresher {
  const { store, providers, clock, random, log, metrics, config, coherence } = deps;
  const leaseMs = config.timeoutMs + leaseReserveMs;
  const endedAttempts = createEndedAttempts();
  const settle = createSettle({ ...deps, endedAttempts });
  const present = createPresent({ ...deps, endedAttempts, settle });
  const gates = new Map<string, Gate>();
  const leases = new Set<Lease>();
  for (const [upstream, provider] of providers)
    gates.set(upstream, {
      provider,
      rotation: createRotation({ upstream, provider, log, metrics }),
      breaker: createBreaker({ upstream, clock, log, metrics }),
      slots: pLimit(provider.maxConcurrency),
    });

  return {
    refresh,
    isWriting: settle.isWriting,
    unstored: settle.unstored,
    awaited: settle.awaited,
    settled: settle.settled,
    gap() {
      endedAttempts.clear();
      for (const lease of leases) lease.check();
    },
  };

  async function refresh(task: FlightTask, row: GrantRow): Promise<RefreshResult> {
    const gate = gates.get(task.key.upstream);
    if (gate === undefined) return { kind: "unavailable", why: "upstream_not_configured" };
    for (;;) {
      if (task.outdated) return { kind: "superseded" };
      const openMs = gate.breaker.openMs();
      if (openMs > 0) return { kind: "unavailable", why: "breaker_open", retryAfterMs: openMs };
      const quietMs = Math.min(
        coherence.lastGapAt() + config.holdOffMs - clock.monotonicMs(),
        task.until - clock.monotonicMs(),
      );
      if (quietMs > 0) {
        if (await holdOff({ store, clock }, task, row.version, quietMs)) return { kind: "superseded" };
        continue;
      }
      const settlement = await inSlot(gate, {
        task,
        version: row.version,
        step: () => takeTurn(gate, task, row),
        whenChanged: superseded,
      });
      const turn = await settlement();
      if (turn.kind !== "wait" && turn.kind !== "again") return turn;
      const leftMs = task.until - clock.monotonicMs();
      if (leftMs <= 0) return { kind: "unavailable", why: turn.kind === "wait" ? "lease_busy" : "lease_too_short" };
      if (turn.kind === "wait") await waitForOthers(task, Math.min(turn.ms, leftMs));
    }
  }

  /**
   * Until word comes from who has the lease, or the time is over; or until such word may have been lost, so that the
   * store has to be asked.
   */
  async function waitForOthers(task: FlightTask, ms: number): Promise<void> {
    const from = clock.monotonicMs();
    for (let now = from; now < from + ms && coherence.isCurrent(from, now); now = clock.monotonicMs())
      if (await changeOrDelay(clock, task, Math.min(from + ms - now, config.maxStalenessMs))) return;
  }

  /**
   * Inside the slot: as long as the provider works. What comes after, the store's part, does not keep others from the
   * provider; nor does a hold-off.
   */
  async function takeTurn(gate: Gate, task: FlightTask, row: GrantRow): Promise<Settlement> {
    const askedAt = clock.monotonicMs();
    if (askedAt >= task.until) return () => Promise.resolve({ kind: "unavailable", why: "refresh_queue" });
    const attempt = random.id();
    const since = deps.recommits.mark();
    const found = await acquire(gate, task, row, attempt);
    if (found.kind !== "acquired") {
      const current = coherence.isCurrent(askedAt, clock.monotonicMs());
      return () => Promise.resolve(current ? turnOf(found, task, askedAt) : { kind: "again" });
    }
    const lease = keepLease(
      { store, onMoved: deps.onMoved, clock, log, metrics },
      { key: task.key, attempt, version: found.row.version, askedAt, leaseMs },
    );
    leases.add(lease);
    const presentation: Presentation = {
      task,
      provider: gate.provider,
      rotation: gate.rotation,
      ...found,
      attempt,
      lease,
      since,
      until: deps.recommits.mark(),
      startedAt: askedAt,
      sentAt: undefined,
      givenUp: undefined,
    };
    const settlement = await orAbandon(presentation, () => present.begin(gate, presentation, row));
    return () =>
      orAbandon(presentation, settlement).finally(() => {
        lease.stop();
        leases.delete(lease);
      });
  }

  /** Whatever fails before the request is sent gives the lease back. */
  async function orAbandon<T>(presentation: Presentation, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      presentation.lease.stop();
      leases.delete(presentation.lease);
      if (!isSent(presentation)) await present.abandon(presentation);
      throw error;
    }
  }

  /**
   * An acquire whose reply was lost may have been carried out: it is taken back, and the provider is not called on it.
   */
  async function acquire(gate: Gate, task: FlightTask, row: GrantRow, attempt: string): Promise<AcquireResult> {
    try {
      // Who begins now may hold off before it presents the token.
      const soonMs = Math.max(overlapMs(gate) - config.holdOffMs, 0);
      return await store.acquire(task.key, { attempt, seen: row.version, leaseMs, usableMs, overlapMs: soonMs });
    } catch (error) {
      void present.abandon({ task, attempt });
      throw error;
    }
  }

  function turnOf(
    found: Exclude<AcquireResult, { readonly kind: "acquired" }>,
    { key }: FlightTask,
    askedAt: number,
  ): Turn {
    switch (found.kind) {
      case "moved":
        return { kind: "moved", row: found.row, readAt: askedAt };
      case "back_off":
        return { kind: "unavailable", why: "back_off", retryAfterMs: found.remainingMs };
      case "dead":
        return { kind: "refused", why: found.row.why ?? "refused", subject: found.row.grant.subject };
      case "revoked":
      case "absent":
        return { kind: "missing" };
      case "busy":
        metrics.count("lease_busy", key.upstream);
        return { kind: "wait", ms: found.remainingMs };
      default:
        return found satisfies never;
    }
  }
}
