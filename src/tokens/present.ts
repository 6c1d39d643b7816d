import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Secret } from "../platform/secret.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { GrantRow, TokenStore } from "../stores/token-store.ts";
import type { Breaker } from "./breaker.ts";
import type { Coherence } from "./coherence.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import { type Gate, inSlot, type Settlement, type Turn } from "./gate.ts";
import { hasMoved, holdOff } from "./hold-off.ts";
import { giveBack } from "./lease.ts";
import type { TokenMetrics } from "./metrics.ts";
import { overlapMs, type PatienceConfig, patienceOf, untilGivenUp } from "./patience.ts";
import { isSent, type Presentation } from "./presentation.ts";
import type { Recommits } from "./recommits.ts";
import { mayHaveBeenUsed, type Settle } from "./settle.ts";

export interface PresentDeps {
  readonly store: Pick<TokenStore, "read" | "release">;
  readonly recommits: Pick<Recommits, "hasNewer">;
  readonly coherence: Pick<Coherence, "lastGapAt">;
  readonly endedAttempts: EndedAttempts;
  readonly settle: Settle;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: PatienceConfig;
}

/** From the lease on one grant to what one presentation of its refresh token led to. */
export interface Present {
  /** Called inside a slot, with the lease just acquired and the row that the flight had read before. */
  begin(gate: Gate, presentation: Presentation, seen: GrantRow): Promise<Settlement>;
  /**
   * Nothing was sent: the store gets back the lease and the marker, and nothing else, so that the next one may present
   * the token at once.
   */
  abandon(presentation: Pick<Presentation, "task" | "attempt">): Promise<void>;
}

/**
 * Where the store has gone back behind what this process holds, it is asked again after this, ms: by then that may be
 * written back.
 */
const writeBackMs = 500;

export function createPresent({
  store,
  recommits,
  coherence,
  endedAttempts,
  settle,
  clock,
  log,
  metrics,
  config,
}: PresentDeps): Present {
  return { begin, abandon };

  async function begin(gate: Gate, presentation: Presentation, seen: GrantRow): Promise<Settlement> {
    const { task, row } = presentation;
    if (row.version !== seen.version || row.grant.refreshToken === undefined)
      return withdraw(presentation, { kind: "superseded" });
    if (!task.outdated && recommits.hasNewer(task.key, row.version))
      return withdraw(presentation, { kind: "wait", ms: writeBackMs });
    if (mayHaveBeenUsed(presentation, endedAttempts)) return () => presentLater(gate, presentation);
    return present(gate.breaker, presentation, row.grant.refreshToken);
  }

  /**
   * Holds off outside the slot, which others use meanwhile, with the lease in hand; then waits for a slot once more,
   * and looks a last time.
   */
  async function presentLater(gate: Gate, presentation: Presentation): Promise<Turn> {
    const { task, row } = presentation;
    const whenChanged = withdraw(presentation, { kind: "superseded" });
    if (await holdOff({ store, clock }, task, row.version, config.holdOffMs)) return whenChanged();
    const until = clock.monotonicMs() + config.timeoutMs;
    const step = async () => {
      if (clock.monotonicMs() >= until) return withdraw(presentation, { kind: "unavailable", why: "refresh_queue" });
      const { refreshToken } = row.grant;
      if (refreshToken === undefined || (await hasMoved(store, task, row.version))) return whenChanged;
      return present(gate.breaker, presentation, refreshToken);
    };
    const settlement = await inSlot(gate, { task, version: row.version, step, whenChanged });
    return settlement();
  }

  async function present(breaker: Breaker, presentation: Presentation, refreshToken: Secret): Promise<Settlement> {
    const { task } = presentation;
    const { outcome, held } = await send(breaker, presentation, refreshToken);
    if (!held) {
      if (!task.outdated) metrics.count("not_dispatched", task.key.upstream);
      return withdraw(presentation, task.outdated ? { kind: "superseded" } : { kind: "again" });
    }
    if (!isSent(presentation)) return withdraw(presentation, settle.notSent(presentation, outcome));
    return () => settle.settle(presentation, outcome);
  }

  /**
   * The last look is in the tick that sends: where the lease may end before the provider has answered, or the grant has
   * moved, nothing is sent.
   */
  async function send(
    breaker: Breaker,
    presentation: Presentation,
    refreshToken: Secret,
  ): Promise<{ readonly outcome: RefreshOutcome; readonly held: boolean }> {
    const { task, provider, rotation, startedAt, earlier } = presentation;
    const patience = patienceOf(presentation, config);
    const sent = Promise.withResolvers<void>();
    let held = true;
    const beforeSend = () => {
      held = !task.outdated && mayPresent(presentation) && coherence.lastGapAt() < startedAt;
      if (!held) return false;
      presentation.sentAt = clock.monotonicMs();
      if (earlier !== undefined && !rotation.isNever()) metrics.count("presented_again", task.key.upstream);
      sent.resolve();
      return true;
    };
    // The breaker hears how the call really ends: a provider that is slower than `refresh.timeout` works.
    const outcome = breaker.run(() => provider.refresh({ refreshToken, beforeSend }));
    const ending = await untilGivenUp(clock, { outcome, sent: sent.promise }, patience.ms);
    if (ending !== "given_up") return { outcome: ending, held };
    presentation.givenUp = patience;
    if (isSent(presentation)) settle.giveUp(presentation, outcome);
    return { outcome: { kind: "unknown", why: "timeout" }, held };
  }

  /**
   * With as much of the lease left as the provider may take; and beside a call that was given up, only where that
   * cannot end the grant.
   */
  function mayPresent({ lease, earlier, answerMs, provider, rotation, startedAt }: Presentation): boolean {
    if (lease.leftMs() < config.timeoutMs) return false;
    const passedMs = clock.monotonicMs() - startedAt;
    return passedMs >= answerMs || (earlier?.sinceMs ?? 0) + passedMs <= overlapMs({ provider, rotation });
  }

  function withdraw(presentation: Presentation, turn: Turn): Settlement {
    return async () => {
      presentation.lease.stop();
      await abandon(presentation);
      return turn;
    };
  }

  function abandon({ task, attempt }: Pick<Presentation, "task" | "attempt">): Promise<void> {
    return giveBack({ store, log }, task.key, { attempt, unused: true, backOffMs: 0 });
  }
}
