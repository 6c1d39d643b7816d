import type { AuthorizationServer } from "./authorization-server.ts";
import type { Facts } from "./facts.ts";
import type { History } from "./history.ts";
import type { Ledger } from "./ledger.ts";
import type { ProviderPlan } from "./plan.ts";
import type { SimProcess } from "./sim-process.ts";

/**
 * What must never happen. Each is a function of its own, in presentation-rules.ts, store-rules.ts, answer-rules.ts and
 * end-rules.ts.
 */
export type Rule =
  | "at_once"
  | "outside_grace"
  | "not_given_up"
  | "slots"
  | "slot_kept"
  | "without_lease"
  | "holder_well"
  | "too_soon"
  | "after_successor"
  | "after_refusal"
  | "not_written_back"
  | "lease_not_taken_again"
  | "clobbered"
  | "resurrected"
  | "given_back"
  | "dead_without_refusal"
  | "unstored_served"
  | "expired_served"
  | "ended_session_served"
  | "unfounded_401"
  | "deadline"
  | "internal_error"
  | "token_dropped"
  | "not_healed"
  | "rejections_unbounded"
  | "not_recovered";

export interface Violation {
  readonly at: number;
  readonly rule: Rule;
  readonly text: string;
}

/** What is counted over many histories. */
export type Figure =
  | "presentations"
  | "presentedAgain"
  | "unknownEndings"
  | "frozenDispatches"
  | "frozenOverlaps"
  | "gracefulOverlaps"
  | "overtaken"
  | "crashes"
  | "failoversWithLoss"
  | "leasesLost"
  | "writtenBack"
  | "lostUnheld"
  | "lostUnlinked"
  | "loginsLost"
  | "loginsOvertaken"
  | "revocationsLost"
  | "endsWrittenBack"
  | "answers"
  | "fresh"
  | "refused"
  | "missing"
  | "silentHolders"
  | "missingByLoss"
  | "expiredByLateWrite"
  | "unavailable"
  | "endedByReuse"
  | "rejections"
  | "healed";

/** What the rules look at, and where they say what they found. */
export interface Judge {
  readonly now: () => number;
  readonly facts: Facts;
  readonly server: AuthorizationServer;
  readonly ledger: Ledger;
  process(name: string): SimProcess | undefined;
  readonly provider: ProviderPlan;
  /** From here on everything has to have come right. */
  readonly settledAt: () => number;
  /** The store refused commits at some time then. */
  commitsRefused(from: number, to: number): boolean;
  readonly rules: {
    readonly leaseMs: number;
    readonly timeoutMs: number;
    readonly giveUpMs: number;
    readonly holdOffMs: number;
    readonly maxStalenessMs: number;
    readonly maxOutageMs: number;
  };
  violated(rule: Rule, text: string): void;
  count(figure: Figure, by?: number): void;
}

/** Collects what the rules say. */
export function createVerdict(now: () => number, history: History) {
  const violations: Violation[] = [];
  const figures = new Map<Figure, number>();
  return {
    violations,
    figures,
    violated(rule: Rule, text: string) {
      violations.push({ at: now(), rule, text });
      history.note("JUDGE", rule, text);
    },
    count: (figure: Figure, by = 1) => void figures.set(figure, (figures.get(figure) ?? 0) + by),
  };
}
