import type { Clock } from "../../src/platform/clock.ts";
import type { RefreshOutcome } from "../../src/providers/outcome.ts";
import { type GrantKey, grantId } from "../../src/stores/grant.ts";
import type { AcquireResult, GrantRow, TokenStore } from "../../src/stores/token-store.ts";
import type { Rule } from "./judge.ts";
import type { Plan, Trouble } from "./plan.ts";
import type { Protections } from "./sim-world.ts";

/** A protection taken away, and what must come of it. */
export interface Mutant {
  readonly name: string;
  readonly without: Protections;
  /** Faults that bring it to light sooner than the seeds' own would. */
  readonly adapt?: (plan: Plan) => Plan;
  /** Rules of which at least one is violated. */
  readonly breaks: readonly Rule[];
}

export const mutants: readonly Mutant[] = [
  {
    name: "lease renewal",
    without: { store: (store) => ({ ...store, renew: async () => true }) },
    breaks: ["holder_well"],
  },
  { name: "re-read under the lease", without: { store: withoutReRead }, breaks: ["after_successor"] },
  {
    name: "re-read while holding off",
    adapt: (plan) => {
      const { provider, ...rest } = often("cut", 15_000)(plan);
      return {
        ...rest,
        provider: { ...provider, rotates: true, saysNever: false, graceMs: 0, maxConcurrency: 16, slow: 0.3 },
      };
    },
    without: { store: withoutReReadUnderLease },
    breaks: ["after_successor", "unfounded_401"],
  },
  { name: "compare-and-set", without: { store: withoutCompare }, breaks: ["resurrected", "clobbered"] },
  {
    name: "a login's compare",
    adapt: (plan) => ({
      ...plan,
      lost: 0.1,
      late: 0.06,
      work: { ...plan.work, putEveryMs: 4_000, revokeEveryMs: 20_000 },
    }),
    without: { store: (store) => ({ ...store, put: (key, write) => store.put(key, write) }) },
    breaks: ["clobbered", "resurrected", "given_back"],
  },
  { name: "marker", without: { store: withoutMarker }, breaks: ["too_soon"] },
  { name: "hold-off", without: { config: { holdOffMs: 0 } }, breaks: ["too_soon"] },
  { name: "store before serve", without: { store: withoutWaiting }, breaks: ["unstored_served", "token_dropped"] },
  {
    name: "the bound on refreshes for rejections",
    adapt: rejecting,
    without: {
      store: (store) => ({
        ...store,
        reject: (key, version, rejection) => store.reject(key, version, { ...rejection, firstHoldMs: 0 }),
      }),
    },
    breaks: ["rejections_unbounded"],
  },
  {
    name: "dropping a rejected token",
    adapt: rejecting,
    without: {
      store: (store) => ({ ...store, reject: async () => ({ kind: "rejected" }) }),
    },
    breaks: ["not_healed"],
  },
  {
    name: "keeping the grant of a rejected token",
    adapt: rejecting,
    without: {
      store: (store) => ({
        ...store,
        async reject(key, version) {
          await store.refuse(key, version, "rejected");
          return { kind: "rejected" };
        },
      }),
    },
    breaks: ["dead_without_refusal"],
  },
  {
    name: "what is done after a failover",
    without: { store: (store) => ({ ...store, listen: (listener) => store.listen({ ...listener, gap() {} }) }) },
    breaks: ["not_written_back", "lease_not_taken_again"],
  },
  {
    name: "asking the server for its history",
    adapt: often("silentFailover", 8_000),
    without: { unasked: true },
    breaks: ["not_written_back", "lease_not_taken_again"],
  },
  {
    name: "keeping everybody from a row of another history",
    adapt: (plan) => ({
      ...often("silentFailover", 3_000)(plan),
      silent: { downMs: 0, lossy: 1 },
      provider: { ...plan.provider, accessLifeMs: 2_000, rotates: true, saysNever: false },
      work: { ...plan.work, checkEveryMs: 300 },
    }),
    without: {
      store: (store) => ({ ...store, acquire: (key, request) => store.acquire(key, { ...request, quietMs: 0 }) }),
    },
    breaks: ["not_written_back", "lease_not_taken_again"],
  },
  {
    name: "writing a session's end again",
    adapt: (plan) => ({ ...often("failover", 10_000)(plan), lossy: 1, work: { ...plan.work, revokeEveryMs: 5_000 } }),
    without: {
      store: (store) => ({
        ...store,
        revoke: async (key, version, from) => (from === undefined ? store.revoke(key, version) : undefined),
      }),
    },
    breaks: ["not_written_back"],
  },
  {
    name: "pre-dispatch check",
    adapt: often("longFreeze", 8_000),
    without: {
      provider: (provider) => ({
        ...provider,
        refresh: ({ refreshToken, beforeSend }) =>
          provider.refresh({ refreshToken, beforeSend: () => beforeSend() || true }),
      }),
    },
    breaks: ["without_lease"],
  },
  {
    name: "giving up a call that hangs",
    adapt: hanging({ rotates: false, saysNever: true }),
    without: { provider: (provider) => ({ ...provider, neverRotates: false }) },
    breaks: ["not_given_up"],
  },
  {
    name: "the end of what may be presented beside a call that was given up",
    adapt: hanging({ rotates: true, saysNever: false, graceMs: 90_000 }),
    without: { store: withoutOverlapsEnd },
    breaks: ["outside_grace"],
  },
  {
    name: "awaiting the answer to a call that was given up",
    adapt: hanging({ rotates: true, saysNever: false, graceMs: 600_000 }),
    without: {
      provider: (provider, clock) => ({
        ...provider,
        refresh: (request) => orSilence(provider.refresh(request), clock),
      }),
    },
    breaks: ["token_dropped", "holder_well"],
  },
  {
    name: "slots",
    adapt: (plan) => ({ ...hanging({ maxConcurrency: 1 })(plan), sessions: 2 }),
    without: { provider: (provider) => ({ ...provider, maxConcurrency: 16 }) },
    breaks: ["slots"],
  },
  {
    name: "holding off outside the slot",
    adapt: (plan) => ({
      ...plan,
      sessions: 2,
      crash: 0.004,
      provider: { ...plan.provider, rotates: true, saysNever: false, maxConcurrency: 1, serverError: 0.3 },
    }),
    without: {
      config: { holdOffMs: 8_000 },
      store: (store, { clock }) => ({ ...store, acquire: holdingOff(store, clock) }),
    },
    breaks: ["slot_kept"],
  },
];

/** Calls that take long, and are not lost. */
/** An API that rejects many tokens, and forbids many requests. */
function rejecting(plan: Plan): Plan {
  return { ...plan, api: { endsEarly: 0.1, forbids: 0.2 } };
}

function hanging(provider: Partial<Plan["provider"]>): (plan: Plan) => Plan {
  return (plan) => ({
    ...plan,
    crash: 0,
    provider: { ...plan.provider, slow: 0.5, timeoutBefore: 0, timeoutAfter: 0, ...provider },
  });
}

/** Lets everybody in beside a call that was given up, at any time, and says nothing of it. */
function withoutOverlapsEnd(store: TokenStore): TokenStore {
  return {
    ...store,
    async acquire(key, request): Promise<AcquireResult> {
      const found = await store.acquire(key, { ...request, overlapMs: Number.POSITIVE_INFINITY });
      return found.kind === "acquired" ? { ...found, answerMs: 0 } : found;
    },
  };
}

/** The outcome, unless it comes later than the call is given up. */
function orSilence(outcome: Promise<RefreshOutcome>, clock: Clock): Promise<RefreshOutcome> {
  const tooLate = new Promise<RefreshOutcome>((resolve) =>
    clock.after(latestKeptMs, () => resolve({ kind: "unknown", why: "timeout" })),
  );
  return Promise.race([outcome, tooLate]);
}

const latestKeptMs = 10_600;

/** Holds off right after the acquire, where nobody else gets the slot meanwhile. */
function holdingOff(store: TokenStore, clock: Clock): TokenStore["acquire"] {
  return async (key, request) => {
    const found = await store.acquire(key, request);
    if (found.kind !== "acquired" || found.earlier === undefined) return found;
    await new Promise<void>((resolve) => clock.after(5_000, resolve));
    return found;
  };
}

function often(trouble: Trouble, everyMs: number): (plan: Plan) => Plan {
  return (plan) => ({ ...plan, crash: 0, every: { ...plan.every, [trouble]: everyMs } });
}

/** Presents what the flight read before it had the lease. */
function withoutReRead(store: TokenStore): TokenStore {
  const seen = new Map<string, GrantRow>();
  return {
    ...store,
    async read(key) {
      const read = await store.read(key);
      if (read.kind === "found") seen.set(grantId(key), read.row);
      return read;
    },
    async acquire(key, request): Promise<AcquireResult> {
      const found = await store.acquire(key, request);
      const old = seen.get(grantId(key));
      if (old === undefined || old.version !== request.seen) return found;
      if (found.kind === "acquired") return { ...found, row: old };
      if (found.kind !== "moved") return found;
      const again = await store.acquire(key, { ...request, seen: found.row.version });
      return again.kind === "acquired" ? { ...again, row: old } : again;
    },
  };
}

/** Sees nothing of what others store while it holds off, or after a refusal. */
function withoutReReadUnderLease(store: TokenStore): TokenStore {
  const leased = new Map<string, GrantRow>();
  const ends =
    <Args extends [GrantKey, ...unknown[]], Result>(run: (...args: Args) => Promise<Result>) =>
    (...args: Args) => {
      leased.delete(grantId(args[0]));
      return run(...args);
    };
  return {
    ...store,
    async acquire(key, request) {
      const found = await store.acquire(key, request);
      if (found.kind === "acquired") leased.set(grantId(key), found.row);
      return found;
    },
    async read(key) {
      const read = await store.read(key);
      const row = leased.get(grantId(key));
      return row === undefined ? read : { kind: "found", row };
    },
    release: ends(store.release),
    commit: ends(store.commit),
    refuse: ends(async (key: GrantKey, from: string, why: string): Promise<"dead"> => {
      await store.refuse(key, from, why);
      return "dead";
    }),
  };
}

/** Writes over whatever is there. */
function withoutCompare(store: TokenStore): TokenStore {
  return {
    ...store,
    async commit(key, from, write, quietMs) {
      const read = await store.read(key);
      if (read.kind === "found") return store.commit(key, read.row.version, write, quietMs);
      if (read.kind === "absent") return store.commit(key, from, write, quietMs);
      await store.put(key, write);
      return "written";
    },
  };
}

function withoutMarker(store: TokenStore): TokenStore {
  return {
    ...store,
    async acquire(key, request): Promise<AcquireResult> {
      const found = await store.acquire(key, request);
      return found.kind === "acquired" ? { ...found, earlier: undefined } : found;
    },
  };
}

/** Says "written" before it is. */
function withoutWaiting(store: TokenStore): TokenStore {
  return {
    ...store,
    commit: async (...args) => {
      store.commit(...args).catch(() => {});
      return "written";
    },
  };
}
