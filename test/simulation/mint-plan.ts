import type { Rng } from "./rng.ts";

/** What can go wrong in one history of minted tokens, and how often. */
export interface MintPlan {
  readonly replicas: number;
  readonly sessions: number;
  /** Whether each session has tokens of its own; otherwise all get one. */
  readonly ofSessions: boolean;
  /** Then all faults end, and everything has to come right. */
  readonly troubledMs: number;
  /** How far wall clocks are off, ms. */
  readonly wallSkewMs: number;
  readonly lifeMs: number;
  /** How long a session's own token lives, ms. */
  readonly jwtLifeMs: number;
  /** Chance at each step of a process. */
  readonly crash: number;
  /** Chances at each way of a command to the store, or back. */
  readonly slow: number;
  readonly lost: number;
  /** Ms from one to the next on average; Infinity for never. */
  readonly every: Readonly<Record<MintTrouble, number>>;
  /** Chances at each call to the provider. */
  readonly provider: {
    readonly slow: number;
    readonly lost: number;
    readonly fails: number;
    readonly refuses: number;
  };
  /** Chances at each request: the API ends its token early, or answers 401 for want of permission. */
  readonly api: { readonly endsEarly: number; readonly forbids: number };
  readonly work: { readonly askEveryMs: number; readonly endEveryMs: number };
}

/** What happens from time to time. */
export type MintTrouble =
  | "freeze"
  | "cut"
  | "deafen"
  | "outage"
  | "longOutage"
  | "failover"
  | "providerDown"
  | "everybodyRejected";

export function drawMintPlan(rng: Rng): MintPlan {
  const some = (share: number, value: () => number, otherwise = 0) => (rng.chance(share) ? value() : otherwise);
  const sometimes = (share: number, low: number, high: number) =>
    some(share, () => rng.between(low, high), Number.POSITIVE_INFINITY);
  return {
    replicas: rng.pick([1, 2, 3, 3, 4]),
    sessions: rng.pick([1, 2, 3, 8]),
    ofSessions: rng.chance(0.75),
    troubledMs: rng.between(90_000, 240_000),
    wallSkewMs: rng.pick([0, 0, 500, 2_000]),
    lifeMs: rng.pick([10_000, 30_000, 60_000, 300_000]),
    jwtLifeMs: rng.pick([20_000, 90_000, 600_000]),
    crash: some(0.4, () => rng.between(0.000_5, 0.004)),
    slow: some(0.5, () => rng.between(0.01, 0.15)),
    lost: some(0.4, () => rng.between(0.005, 0.08)),
    every: {
      freeze: sometimes(0.4, 8_000, 40_000),
      cut: sometimes(0.4, 20_000, 90_000),
      deafen: sometimes(0.4, 20_000, 90_000),
      outage: sometimes(0.4, 20_000, 90_000),
      longOutage: sometimes(0.2, 60_000, 120_000),
      failover: sometimes(0.4, 15_000, 80_000),
      providerDown: sometimes(0.4, 20_000, 90_000),
      everybodyRejected: sometimes(0.2, 40_000, 120_000),
    },
    provider: {
      slow: some(0.5, () => rng.between(0.02, 0.3)),
      lost: some(0.3, () => rng.between(0.01, 0.15)),
      fails: some(0.4, () => rng.between(0.02, 0.2)),
      refuses: some(0.2, () => rng.between(0.01, 0.05)),
    },
    api: {
      endsEarly: some(0.6, () => rng.between(0.005, 0.08)),
      forbids: some(0.4, () => rng.between(0.01, 0.15)),
    },
    work: { askEveryMs: rng.between(150, 1_500), endEveryMs: sometimes(0.6, 15_000, 60_000) },
  };
}

export const faultlessMint = { slow: 0, lost: 0, fails: 0, refuses: 0 } satisfies MintPlan["provider"];

/** No fault at all, on the same workload; the API still rejects. */
export function withoutMintFaults(plan: MintPlan): MintPlan {
  const every = Object.fromEntries(
    Object.keys(plan.every).map((name) => [name, Number.POSITIVE_INFINITY]),
  ) as MintPlan["every"];
  return { ...plan, crash: 0, slow: 0, lost: 0, every, provider: faultlessMint };
}
