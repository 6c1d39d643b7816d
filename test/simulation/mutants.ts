import type { AcquireResult, GrantRow, TokenStore } from "../../src/stores/token-store.ts";
import { type GrantKey, grantId } from "../../src/tokens/grant.ts";
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
  { name: "lease renewal", without: { store: (store) => ({ ...store, renew: async () => true }) }, breaks: ["holder_well"] },
  { name: "re-read under the lease", without: { store: withoutReRead }, breaks: ["after_successor"] },
  { name: "re-read while holding off", without: { store: withoutReReadUnderLease }, adapt: often("cut", 15_000), breaks: ["after_successor", "unfounded_401"] },
  { name: "compare-and-set", without: { store: withoutCompare }, breaks: ["resurrected", "clobbered"] },
  { name: "marker", without: { store: withoutMarker }, breaks: ["too_soon"] },
  { name: "hold-off", without: { config: { holdOffMs: 0 } }, breaks: ["too_soon"] },
  { name: "store before serve", without: { store: withoutWaiting }, breaks: ["unstored_served", "token_dropped"] },
  {
    name: "what is done after a failover",
    without: { store: (store) => ({ ...store, listen: (listener) => store.listen({ ...listener, gap() {} }) }) },
    breaks: ["not_written_back", "lease_not_taken_again"],
  },
  {
    name: "writing a session's end again",
    adapt: (plan) => ({ ...often("failover", 10_000)(plan), lossy: 1, work: { ...plan.work, revokeEveryMs: 5_000 } }),
    without: { store: (store) => ({ ...store, revoke: async (key, version, from) => (from === undefined ? store.revoke(key, version) : undefined) }) },
    breaks: ["not_written_back"],
  },
  {
    name: "pre-dispatch check",
    adapt: often("longFreeze", 8_000),
    without: {
      provider: (provider) => ({
        ...provider,
        refresh: ({ refreshToken, beforeSend }) => provider.refresh({ refreshToken, beforeSend: () => beforeSend() || true }),
      }),
    },
    breaks: ["without_lease"],
  },
];

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
