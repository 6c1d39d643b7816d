import type { Rng } from "./rng.ts";

/**
 * What can go wrong in one history, and how often. A fault that is absent from a history leaves room for the others to
 * meet: so each is in some only.
 */
export interface Plan {
  readonly replicas: number;
  readonly sessions: number;
  /** Then all faults end, and everything has to come right. */
  readonly troubledMs: number;
  readonly wallSkewMs: number;
  /** Chance at each step of a process. */
  readonly crash: number;
  /** Chances at each request to the store, and at each reply. */
  readonly slow: number;
  readonly late: number;
  readonly lost: number;
  /** Ms from one to the next on average; Infinity for never. */
  readonly every: Readonly<Record<Trouble, number>>;
  /** Chance that a process freezes between its last check and the sending. */
  readonly frozenDispatch: number;
  /** The share of failovers that lose writes. */
  readonly lossy: number;
  /** Failovers that break no connection: down for so long at most, ms, and the share of them that lose writes. */
  readonly silent: { readonly downMs: number; readonly lossy: number };
  readonly provider: ProviderPlan;
  readonly work: WorkPlan;
  readonly api: ApiPlan;
}

/** Chances at each request: the API ends its token early, or answers 401 for want of permission. */
export interface ApiPlan {
  readonly endsEarly: number;
  readonly forbids: number;
}

/** What happens from time to time, to one process or to the store. */
export type Trouble =
  | "freeze"
  | "longFreeze"
  | "cut"
  | "halfOpen"
  | "outage"
  | "storeFreeze"
  | "failover"
  | "silentFailover"
  | "commitsRefused"
  | "providerDown";

/** How the provider is, and how it fails. */
export interface ProviderPlan {
  readonly accessLifeMs: number;
  readonly rotates: boolean;
  /** The configuration says that it does not rotate. */
  readonly saysNever: boolean;
  readonly graceMs: number;
  /** Refreshes that one process asks of it at the same time. */
  readonly maxConcurrency: number;
  /** A rotated token that comes again after the grace ends all tokens of the login. */
  readonly punishesReuse: boolean;
  readonly killsOldAccess: boolean;
  /**
   * Chances at each call: lost on the way, lost on the way back, long in coming, an answer that says little, another
   * that says that nothing was done.
   */
  readonly timeoutBefore: number;
  readonly timeoutAfter: number;
  readonly slow: number;
  readonly serverError: number;
  readonly transient: number;
  readonly refuses: number;
}

/** What clients and administrators do; ms from one to the next on average. */
export interface WorkPlan {
  readonly checkEveryMs: number;
  readonly putEveryMs: number;
  readonly revokeEveryMs: number;
}

export function drawPlan(rng: Rng): Plan {
  const some = (share: number, value: () => number, otherwise = 0) => (rng.chance(share) ? value() : otherwise);
  const sometimes = (share: number, low: number, high: number) =>
    some(share, () => rng.between(low, high), Number.POSITIVE_INFINITY);
  return {
    replicas: rng.pick([2, 2, 3, 3, 4]),
    sessions: rng.pick([1, 1, 2]),
    troubledMs: rng.between(90_000, 240_000),
    wallSkewMs: rng.pick([0, 120_000, 600_000]),
    crash: some(0.4, () => rng.between(0.000_5, 0.006)),
    slow: some(0.5, () => rng.between(0.01, 0.15)),
    late: some(0.4, () => rng.between(0.005, 0.06)),
    lost: some(0.5, () => rng.between(0.005, 0.1)),
    every: {
      freeze: sometimes(0.4, 5_000, 40_000),
      longFreeze: sometimes(0.4, 20_000, 100_000),
      cut: sometimes(0.4, 20_000, 90_000),
      halfOpen: sometimes(0.3, 20_000, 90_000),
      outage: sometimes(0.3, 30_000, 120_000),
      storeFreeze: sometimes(0.3, 20_000, 90_000),
      failover: sometimes(0.5, 8_000, 80_000),
      silentFailover: sometimes(0.6, 15_000, 60_000),
      commitsRefused: sometimes(0.35, 20_000, 90_000),
      providerDown: sometimes(0.3, 30_000, 120_000),
    },
    frozenDispatch: some(0.15, () => rng.between(0.01, 0.05)),
    lossy: rng.pick([0, 0.5, 1, 1]),
    silent: { downMs: 3_000, lossy: 0.5 },
    provider: drawProvider(rng, some),
    work: {
      checkEveryMs: rng.between(300, 2_500),
      putEveryMs: sometimes(0.6, 20_000, 90_000),
      revokeEveryMs: sometimes(0.5, 30_000, 120_000),
    },
    api: {
      endsEarly: some(0.5, () => rng.between(0.005, 0.1)),
      forbids: some(0.2, () => rng.between(0.01, 0.2)),
    },
  };
}

function drawProvider(rng: Rng, some: (share: number, value: () => number) => number): ProviderPlan {
  const rotates = rng.chance(0.85);
  return {
    accessLifeMs: rng.pick([2_000, 5_000, 5_000, 10_000, 20_000, 60_000]),
    rotates,
    saysNever: !rotates && rng.chance(0.6),
    graceMs: some(0.4, () => rng.pick([rng.between(5_000, 60_000), rng.between(60_000, 120_000), 600_000])),
    maxConcurrency: rng.pick([1, 1, 2, 16]),
    punishesReuse: rng.chance(0.7),
    killsOldAccess: rng.chance(0.15),
    timeoutBefore: some(0.4, () => rng.between(0.01, 0.2)),
    timeoutAfter: some(0.4, () => rng.between(0.01, 0.15)),
    slow: some(0.5, () => rng.between(0.02, 0.4)),
    serverError: some(0.4, () => rng.between(0.02, 0.2)),
    transient: some(0.4, () => rng.between(0.02, 0.2)),
    refuses: some(0.2, () => rng.between(0.005, 0.05)),
  };
}

/** A provider that answers each call at once, and as it should. */
export const faultlessCalls = {
  timeoutBefore: 0,
  timeoutAfter: 0,
  slow: 0,
  serverError: 0,
  transient: 0,
  refuses: 0,
} satisfies Partial<ProviderPlan>;

/** No fault at all, on the same provider and workload. */
export function withoutFaults(plan: Plan): Plan {
  const every = Object.fromEntries(
    Object.keys(plan.every).map((name) => [name, Number.POSITIVE_INFINITY]),
  ) as Plan["every"];
  const provider = { ...plan.provider, ...faultlessCalls };
  return { ...plan, crash: 0, slow: 0, late: 0, lost: 0, every, frozenDispatch: 0, lossy: 0, provider };
}
