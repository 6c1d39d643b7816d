import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { AcquireResult, Change, GrantRow, Standing, TokenStore } from "../stores/token-store.ts";
import { usableMs } from "./access-token.ts";
import type { Attempt, Presented, RefreshResult, Turn } from "./attempt.ts";
import type { Coherence } from "./coherence.ts";
import { createCommitTokens } from "./commit-tokens.ts";
import { createEndedAttempts } from "./ended-attempts.ts";
import type { Failover } from "./failover.ts";
import { type FlightTask, wordOrDelay } from "./flight-task.ts";
import { type ForeseenWait, foreseenWait } from "./foreseen-wait.ts";
import { createGates, type Gate, type Gates } from "./gate.ts";
import { hasMoved, holdOff, mayHaveBeenUsed } from "./hold-off.ts";
import type { Journal } from "./journal.ts";
import { giveBack, keepLease, type Lease } from "./lease.ts";
import type { TokenMetrics } from "./metrics.ts";
import { createOwnAttempts } from "./own-attempts.ts";
import { overlapBeforeMs, type PatienceConfig } from "./patience.ts";
import { createPresent } from "./present.ts";
import { createSettle } from "./settle.ts";
import type { Place } from "./slots.ts";

/**
 * `timeoutMs`: how long the provider may take before callers stop waiting. `holdOffMs`: how long an attempt waits where
 * an earlier one may have redeemed the token.
 */
export interface RefreshConfig extends PatienceConfig {
  /** How long messages about changes may be missing before this process notices, ms. */
  readonly maxStalenessMs: number;
}

export interface RefresherDeps {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly journal: Pick<Journal, "mark" | "hasNewer">;
  readonly failover: Pick<Failover, "writeRefresh">;
  readonly coherence: Pick<Coherence, "isCurrent" | "lastGapAt">;
  /** Told of another version that a refresh under way has found in the store. */
  readonly onMoved: (change: Change) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: RefreshConfig;
}

/**
 * Replaces a grant's tokens: steps 4 to 9 of docs/refresh-protocol.md. Invariants: a refresh token is presented only
 * with the lease on its grant, or two replicas could present a token that is good for one use; an answer is in the
 * store before any request is served, or a crash could lose the only copy of the login.
 */
export interface Refresher {
  refresh(task: FlightTask, row: GrantRow): Promise<RefreshResult>;
  /** Takes over the providers of another configuration. */
  adopt: Gates["adopt"];
  /** For how long the upstream's provider is left alone, ms; 0 where it may be asked. */
  breakerMs(upstream: string): number;
  /** What a refresh would wait for that began now, with the grant as a look finds it. */
  foresee(key: GrantKey, found: { readonly row: GrantRow; readonly standing: Standing }): ForeseenWait | undefined;
  /** Whether this process is writing that version for a flight that waits for it. */
  isWriting(version: string): boolean;
  /** The store may just have lost something: renews all leases at once, while other replicas hold off. */
  gap(): void;
  /** The grants whose new tokens are not in the store yet. */
  unstored(): readonly GrantKey[];
  /** The grants for which the answer to a call that was given up may still come. */
  awaited(): readonly GrantKey[];
  /** Resolves when no call that was given up can be answered any more. */
  settled(): Promise<void>;
}

/** The lease outlives the provider call by this, ms. */
const leaseReserveMs = 5_000;
/** Where the store holds an older version than this process has, it is asked again after this, ms. */
const writeBackMs = 500;

export function createRefresher(deps: RefresherDeps): Refresher {
  const { store, journal, coherence, onMoved, clock, random, log, metrics, config } = deps;
  const endedAttempts = createEndedAttempts();
  const commits = createCommitTokens(deps);
  const settle = createSettle({ ...deps, commit: commits.commit, endedAttempts });
  const isCommitting = ({ task, row }: Attempt) => commits.isReplacing(task.key, row.version);
  const present = createPresent({ coherence, isCommitting, clock, metrics, config });
  const gates = createGates(deps);
  const workOn = createOwnAttempts(commits.isReplacing);
  const leases = new Set<Lease>();

  return {
    refresh,
    adopt: gates.adopt,
    breakerMs: (upstream) => gates.of(upstream)?.breaker.openMs() ?? 0,
    foresee(key, found) {
      const gate = gates.of(key.upstream);
      const gapMs = gapMsAt(clock.monotonicMs());
      return gate && foreseenWait({ ...found, key, gate, gapMs }, endedAttempts, config);
    },
    isWriting: commits.isWriting,
    unstored: commits.unstored,
    awaited: settle.awaited,
    settled: settle.settled,
    gap() {
      endedAttempts.clear();
      for (const lease of leases) lease.check();
    },
  };

  /** What is left of the time after a gap in which this process acquires nothing, ms. */
  function gapMsAt(now: number): number {
    return coherence.lastGapAt() + config.holdOffMs - now;
  }

  /** Takes turns until one leads to a result, or nobody waits any more. */
  async function refresh(task: FlightTask, row: GrantRow): Promise<RefreshResult> {
    const gate = gates.of(task.key.upstream);
    if (gate === undefined) return { kind: "unavailable", why: "upstream_not_configured" };
    for (;;) {
      const turn = await takeTurn(gate, task, row);
      if (turn.kind !== "wait" && turn.kind !== "again") return turn;
      const leftMs = task.until - clock.monotonicMs();
      if (leftMs <= 0) return { kind: "unavailable", why: turn.kind === "wait" ? "lease_busy" : turn.why };
      if (turn.kind === "wait") await waitForOthers(task, Math.min(turn.ms, leftMs));
    }
  }

  /** One turn: breaker, the quiet time after a gap and a slot (step 4), then the rest with a slot in hand. */
  async function takeTurn(gate: Gate, task: FlightTask, row: GrantRow): Promise<Turn> {
    if (task.outdated.aborted) return { kind: "superseded" };
    const openMs = gate.breaker.openMs(task.key.session);
    if (openMs > 0) return { kind: "unavailable", why: "breaker_open", retryAfterMs: openMs };
    const now = clock.monotonicMs();
    const quietMs = Math.min(gapMsAt(now), task.until - now);
    if (quietMs > 0)
      return (await holdOff({ store, clock }, task, row.version, quietMs))
        ? { kind: "superseded" }
        : { kind: "again", why: "store_went_back" };
    const place = gate.slots.place();
    if (!(await place.take(task))) return { kind: "superseded" };
    try {
      return await workOn(task, row.version, () => acquireAndPresent(gate, place, task, row));
    } finally {
      place.free();
    }
  }

  async function acquireAndPresent(gate: Gate, place: Place, task: FlightTask, row: GrantRow): Promise<Turn> {
    const askedAt = clock.monotonicMs();
    if (askedAt >= task.until) return { kind: "unavailable", why: "refresh_queue" };
    const id = random.id();
    const markBefore = journal.mark();
    const leaseMs = config.timeoutMs + leaseReserveMs;
    const found = await acquire(gate, task, row, id, leaseMs);
    if (found.kind !== "acquired")
      return coherence.isCurrent(askedAt, clock.monotonicMs())
        ? turnOf(found, task, askedAt)
        : { kind: "again", why: "store_slow" };
    const leased = { key: task.key, attempt: id, version: found.row.version, askedAt, leaseMs };
    const lease = keepLease({ store, onMoved, clock, log, metrics }, leased);
    leases.add(lease);
    const { row: acquired, earlier, failures, answerMs } = found;
    const markAfter = journal.mark();
    try {
      const attempt = { task, gate, row: acquired, id, lease, earlier, failures, answerMs, markBefore, markAfter };
      return await carryOut({ ...attempt, startedAt: askedAt }, place, row);
    } finally {
      lease.stop();
      leases.delete(lease);
    }
  }

  /** Steps 5 to 9, with the lease held. Whatever fails before the request is sent gives the lease back. */
  async function carryOut(attempt: Attempt, place: Place, seen: GrantRow): Promise<Turn> {
    let presented: Presented;
    try {
      const { refreshToken } = attempt.row.grant;
      const obstacle = await obstacleTo(attempt, place, seen);
      if (obstacle !== undefined || refreshToken === undefined)
        return await withdraw(attempt, place, obstacle ?? { kind: "superseded" });
      presented = await present(attempt, refreshToken);
    } catch (error) {
      await withdraw(attempt, place, { kind: "again", why: "lease_too_short" });
      throw error;
    }
    // What is left involves only the store: another refresh may call the provider.
    place.free();
    switch (presented.kind) {
      case "withheld":
        if (attempt.task.outdated.aborted) return withdraw(attempt, place, { kind: "superseded" });
        metrics.count("not_dispatched", attempt.task.key.upstream);
        return withdraw(attempt, place, { kind: "again", why: "lease_too_short" });
      case "not_sent":
        return withdraw(attempt, place, settle.notSent(attempt, presented.outcome));
      case "answered":
      case "given_up":
        return settle.settle(attempt, presented);
      default:
        return presented satisfies never;
    }
  }

  /** Step 5: what forbids presenting the token now. Holds off where an earlier attempt may have presented it. */
  async function obstacleTo(attempt: Attempt, place: Place, seen: GrantRow): Promise<Turn | undefined> {
    const { task, row } = attempt;
    if (row.version !== seen.version) return { kind: "superseded" };
    if (!task.outdated.aborted && journal.hasNewer(task.key, row.version)) return { kind: "wait", ms: writeBackMs };
    if (!mayHaveBeenUsed(attempt, endedAttempts)) return undefined;
    // Others use the slot meanwhile; the lease is kept.
    place.free();
    if (await holdOff({ store, clock }, task, row.version, config.holdOffMs)) return { kind: "superseded" };
    const until = clock.monotonicMs() + config.timeoutMs;
    if (!(await place.take(task))) return { kind: "superseded" };
    if (clock.monotonicMs() >= until) return { kind: "unavailable", why: "refresh_queue" };
    return (await hasMoved(store, task, row.version)) ? { kind: "superseded" } : undefined;
  }

  /** Nothing was sent: gives back lease and marker without a back-off, so that the next attempt may present at once. */
  async function withdraw({ task, id, lease }: Attempt, place: Place, turn: Turn): Promise<Turn> {
    place.free();
    lease.stop();
    await abandon(task, id);
    return turn;
  }

  function abandon({ key }: FlightTask, attempt: string): Promise<void> {
    return giveBack({ store, log }, key, { attempt, unused: true, backOffMs: 0 });
  }

  /** If the reply is lost, the lease may have been taken: it is given back, and the provider is not called on it. */
  async function acquire(
    gate: Gate,
    task: FlightTask,
    row: GrantRow,
    attempt: string,
    leaseMs: number,
  ): Promise<AcquireResult> {
    try {
      const waits = { overlapMs: overlapBeforeMs(gate, config), quietMs: config.holdOffMs };
      return await store.acquire(task.key, { attempt, seen: row.version, leaseMs, usableMs, ...waits });
    } catch (error) {
      void abandon(task, attempt);
      throw error;
    }
  }

  /**
   * Waits until the lease's holder changes the grant or gives the lease back, until the time is over, or until such a
   * message may have been missed and the store has to be asked.
   */
  async function waitForOthers(task: FlightTask, ms: number): Promise<void> {
    const from = clock.monotonicMs();
    for (let now = from; now < from + ms && coherence.isCurrent(from, now); now = clock.monotonicMs()) {
      // A timer may be early by a fraction of a millisecond: then as little is waited for, not the same time again.
      const turnMs = Math.max(config.maxStalenessMs - ((now - from) % config.maxStalenessMs), 1);
      if (await wordOrDelay(clock, task, Math.min(from + ms - now, turnMs))) return;
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
