import pLimit, { type LimitFunction } from "p-limit";
import type { Clock } from "../clock.ts";
import type { Provider, RefreshOutcome } from "../providers/provider.ts";
import type { Random } from "../random.ts";
import type { Secret } from "../secret.ts";
import type { AcquireResult, GrantRow, TokenStore } from "../stores/token-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { TokenMetrics } from "../telemetry/metrics.ts";
import { usableMs } from "./access-token.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import type { Coherence } from "./coherence.ts";
import { createEndedAttempts } from "./ended-attempts.ts";
import { changeOrDelay, type FlightTask } from "./flight-task.ts";
import { holdOff } from "./hold-off.ts";
import { giveBack, keepLease, type Lease } from "./lease.ts";
import type { Recommits } from "./recommits.ts";
import { createSettle, type Presentation, type RefreshResult } from "./settle.ts";

export interface RefreshConfig {
  /** How long a provider may take until nobody waits for it any more, ms; the lease outlives it. */
  readonly timeoutMs: number;
  /** How long an attempt waits where an earlier one may have redeemed the refresh token, ms. */
  readonly holdOffMs: number;
}

export interface RefresherDeps {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly recommits: Recommits;
  readonly coherence: Pick<Coherence, "isCurrent" | "lastGapAt">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: RefreshConfig;
}

/**
 * Replaces a grant's tokens: breaker, concurrency slot, lease, hold-off, one presentation of the refresh token, and the store. Invariants: nobody presents a refresh token
 * without the lease on its grant; what the provider answers is in the store before anybody is served.
 */
export interface Refresher {
  refresh(task: FlightTask, row: GrantRow): Promise<RefreshResult>;
  /** Whether this process writes that version just now: its flight knows. */
  isWriting(version: string): boolean;
  /** The store may just have lost something: leases are taken again before others, who hold off after it, look for them. */
  gap(): void;
  /** The grants whose new tokens are not in the store yet. */
  unstored(): readonly FlightTask["key"][];
}

/** The lease outlives the provider call by this, ms. */
const leaseReserveMs = 5_000;

/** Where the store has gone back behind what this process holds, it is asked again after this, ms: by then that may be written back. */
const writeBackMs = 500;

/** What one turn led to: a result, or another turn, after waiting for others. */
type Turn = RefreshResult | { readonly kind: "wait"; readonly ms: number } | { readonly kind: "again" };
/** What is left to do once the slot is free again. */
type Settlement = () => Promise<Turn>;

const superseded: Settlement = () => Promise.resolve({ kind: "superseded" });

interface Gate {
  readonly provider: Provider;
  readonly breaker: Breaker;
  readonly slots: LimitFunction;
}

export function createRefresher(deps: RefresherDeps): Refresher {
  const { store, providers, clock, random, log, metrics, config, coherence } = deps;
  const leaseMs = config.timeoutMs + leaseReserveMs;
  const endedAttempts = createEndedAttempts();
  const settle = createSettle({ ...deps, endedAttempts });
  const gates = new Map<string, Gate>();
  const leases = new Set<Lease>();
  for (const [upstream, provider] of providers)
    gates.set(upstream, { provider, breaker: createBreaker({ upstream, clock, metrics }), slots: pLimit(provider.maxConcurrency) });

  return {
    refresh,
    isWriting: settle.isWriting,
    unstored: settle.unstored,
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
      const quietMs = Math.min(coherence.lastGapAt() + config.holdOffMs - clock.monotonicMs(), task.until - clock.monotonicMs());
      if (quietMs > 0) {
        if (await holdOff({ store, clock }, task, row.version, quietMs)) return { kind: "superseded" };
        continue;
      }
      const settlement = await turnOrChange(gate, task, row);
      const turn = await settlement();
      if (turn.kind !== "wait" && turn.kind !== "again") return turn;
      const leftMs = task.until - clock.monotonicMs();
      if (leftMs <= 0) return { kind: "unavailable", why: turn.kind === "wait" ? "lease_busy" : "lease_too_short" };
      if (turn.kind === "wait") await changeOrDelay(clock, task, Math.min(turn.ms, leftMs));
    }
  }

  /** Whoever is still in the queue when the grant changes looks again at once, instead of when its turn comes. */
  function turnOrChange(gate: Gate, task: FlightTask, row: GrantRow): Promise<Settlement> {
    const changed = Promise.withResolvers<Settlement>();
    let queued = true;
    task.wake = (version) => {
      if (version === row.version) return; // a lease given back
      leave();
      changed.resolve(superseded);
    };
    const turn = gate.slots(() => {
      if (!queued) return superseded;
      leave();
      return takeTurn(gate, task, row);
    });
    return Promise.race([turn, changed.promise]);

    function leave(): void {
      queued = false;
      task.wake = undefined;
    }
  }

  /** Inside the slot: as long as the provider works. What comes after, the store's part, does not keep others from the provider. */
  async function takeTurn(gate: Gate, task: FlightTask, row: GrantRow): Promise<Settlement> {
    const askedAt = clock.monotonicMs();
    if (askedAt >= task.until) return () => Promise.resolve({ kind: "unavailable", why: "refresh_queue" });
    const attempt = random.id();
    const since = deps.recommits.mark();
    const found = await acquire(task, row, attempt);
    if (found.kind !== "acquired") {
      const current = coherence.isCurrent(askedAt, clock.monotonicMs());
      return () => Promise.resolve(current ? turnOf(found, task, askedAt) : { kind: "again" });
    }
    const lease = keepLease({ store, clock, log, metrics }, { key: task.key, attempt, version: found.row.version, askedAt, leaseMs });
    leases.add(lease);
    const drop = () => {
      lease.stop();
      leases.delete(lease);
    };
    const presentation: Presentation = {
      task,
      provider: gate.provider,
      ...found,
      attempt,
      lease,
      since,
      until: deps.recommits.mark(),
      startedAt: askedAt,
      sentAt: askedAt,
    };
    try {
      const settlement = await present(gate.breaker, presentation, row);
      return () => settlement().finally(drop);
    } catch (error) {
      drop();
      await abandon(task, attempt, lease);
      throw error;
    }
  }

  /** Nothing was sent: the next one may present the token at once. */
  function abandon({ key }: FlightTask, attempt: string, lease: Lease | undefined): Promise<void> {
    lease?.stop();
    return giveBack({ store, log }, key, { attempt, unused: true, backOffMs: 0 });
  }

  /** An acquire whose reply was lost may have been carried out: it is taken back, and the provider is not called on it. */
  async function acquire(task: FlightTask, row: GrantRow, attempt: string): Promise<AcquireResult> {
    try {
      return await store.acquire(task.key, { attempt, seen: row.version, leaseMs, usableMs });
    } catch (error) {
      void abandon(task, attempt, undefined);
      throw error;
    }
  }

  function turnOf(found: Exclude<AcquireResult, { readonly kind: "acquired" }>, { key }: FlightTask, askedAt: number): Turn {
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

  async function present(breaker: Breaker, presentation: Presentation, seen: GrantRow): Promise<Settlement> {
    const { task, row, earlier, attempt, lease } = presentation;
    const refreshToken = row.grant.refreshToken;
    const outlived = !task.outdated && deps.recommits.hasNewer(task.key, row.version);
    const moved =
      row.version !== seen.version || (!outlived && mayHaveBeenUsed(presentation) && (await holdOff({ store, clock }, task, row.version, config.holdOffMs)));
    if (moved || outlived || refreshToken === undefined) {
      await abandon(task, attempt, lease);
      return () => Promise.resolve(outlived && !moved ? { kind: "wait", ms: writeBackMs } : { kind: "superseded" });
    }
    if (earlier !== undefined) metrics.count("presented_again", task.key.upstream);
    const { outcome, held } = await send(breaker, presentation, refreshToken);
    if (!held) {
      if (!task.outdated) metrics.count("not_dispatched", task.key.upstream);
      await abandon(task, attempt, lease);
      return () => Promise.resolve(task.outdated ? { kind: "superseded" } : { kind: "again" });
    }
    return () => settle.settle(presentation, outcome);
  }

  /** Another attempt's marker says so, whose holder may be about to commit. */
  function mayHaveBeenUsed({ task, row, earlier }: Presentation): boolean {
    return earlier !== undefined && !endedAttempts.areAll(task.key, row.version, earlier);
  }

  /** The last look is in the tick that sends: where the lease may end before the provider has answered, or the grant has moved, nothing is sent. */
  async function send(
    breaker: Breaker,
    presentation: Presentation,
    refreshToken: Secret,
  ): Promise<{ readonly outcome: RefreshOutcome; readonly held: boolean }> {
    const { task, provider, lease, startedAt } = presentation;
    let held = true;
    const beforeSend = () => {
      presentation.sentAt = clock.monotonicMs();
      held = !task.outdated && mayPresent(lease) && coherence.lastGapAt() < startedAt;
      return held;
    };
    return { outcome: await breaker.run(() => provider.refresh({ refreshToken, beforeSend })), held };
  }

  function mayPresent(lease: Lease): boolean {
    return lease.leftMs() >= config.timeoutMs;
  }
}
