import type { FlowStore } from "../../src/stores/flow-store.ts";
import type { ChangeListener } from "../../src/stores/token-store.ts";
import type { MintPlan } from "./mint-plan.ts";
import { withoutMintFaults } from "./mint-plan.ts";
import type { MintRule } from "./mint-rules.ts";
import type { MintProtections } from "./mint-world.ts";

/** A protection of minted tokens taken away, and what must come of it. */
export interface MintMutant {
  readonly name: string;
  readonly without: MintProtections;
  /** What brings it to light sooner than the seeds' own faults would. */
  readonly adapt?: (plan: MintPlan) => MintPlan;
  /** Rules of which at least one is violated. */
  readonly breaks: readonly MintRule[];
}

export const mintMutants: readonly MintMutant[] = [
  {
    name: "a token for each session's own token",
    adapt: ofSessions,
    without: {
      kind: (kind) => ({
        ...kind,
        subjectOf: ({ session, subjectToken }) => subjectToken && { ...subjectToken, id: session },
        request: async ({ token }) => ({ grantType: "simulated", parameters: [["of", token?.reveal() ?? ""]] }),
      }),
    },
    breaks: ["another_subject"],
  },
  {
    name: "the end of the session's own token",
    adapt: (plan) => ({ ...ofSessions(plan), jwtLifeMs: 20_000, lifeMs: 300_000 }),
    without: {
      kind: (kind) => ({
        ...kind,
        subjectOf: ({ subjectToken }) =>
          subjectToken && { ...subjectToken, expiresAt: subjectToken.expiresAt + 600_000 },
      }),
    },
    breaks: ["outlives_subject"],
  },
  {
    name: "looking whether the session has ended",
    adapt: ending,
    without: { flows: (flows) => ({ ...flows, read: unread("ended", flows) }), listener: unended },
    breaks: ["ended_served"],
  },
  {
    name: "telling that a session has ended",
    adapt: ending,
    without: { listener: unended },
    breaks: ["ended_served"],
  },
  {
    name: "looking again where no heartbeat was heard within cache.maxStaleness",
    adapt: (plan) => ({ ...ending(plan), every: { ...plan.every, deafen: 8_000 } }),
    without: { config: { maxStalenessMs: 60_000 } },
    breaks: ["ended_served"],
  },
  {
    name: "looking again after a gap",
    adapt: (plan) => ({ ...ending(plan), every: { ...plan.every, deafen: 8_000 } }),
    without: { listener: (listener) => ({ ...listener, gap() {} }) },
    breaks: ["ended_served"],
  },
  {
    name: "the end of what is served without the store",
    adapt: (plan) => {
      const calm = withoutMintFaults(ending(plan));
      const work = { askEveryMs: 400, endEveryMs: 15_000 };
      return { ...calm, sessions: 2, replicas: 2, every: { ...calm.every, cut: 6_000 }, work };
    },
    without: { config: { maxOutageMs: 600_000 } },
    breaks: ["ended_served_in_outage"],
  },
  {
    name: "the turn to ask",
    adapt: withoutMintFaults,
    without: {
      flows: (flows) => ({ ...flows, put: async (kind, ...rest) => kind === "minting" || flows.put(kind, ...rest) }),
    },
    breaks: ["two_at_once"],
  },
  {
    name: "sharing what was minted",
    adapt: withoutMintFaults,
    without: { flows: (flows) => ({ ...flows, set: unset("minted", flows) }) },
    breaks: ["needless_call"],
  },
  {
    name: "keeping a rejected token from everybody",
    adapt: rejecting,
    without: { flows: (flows) => ({ ...flows, set: unset("rejected", flows) }), announce: () => async () => {} },
    breaks: ["not_healed", "rejected_again"],
  },
  {
    name: "telling those who can mint",
    adapt: (plan) => ({ ...rejecting(plan), ofSessions: true, replicas: 4, jwtLifeMs: 20_000 }),
    without: { announce: (announce) => async (change) => (change.isRejected ? undefined : announce(change)) },
    breaks: ["not_healed"],
  },
  {
    name: "leaving the successor of a rejected token as it is",
    adapt: (plan) => ({ ...withoutMintFaults(plan), api: { endsEarly: 0, forbids: 0.3 } }),
    without: {
      flows: (flows) => ({
        ...flows,
        put: (kind, id, value, lifeMs) => flows.put(kind, id, value, kind === "held" ? 0 : lifeMs),
      }),
    },
    breaks: ["rejections_unbounded"],
  },
  {
    name: "the bound for an API that rejects everybody",
    adapt: (plan) => ({
      ...ofSessions(withoutMintFaults(plan)),
      sessions: 12,
      api: { endsEarly: 0, forbids: 0.5 },
      work: { askEveryMs: 150, endEveryMs: 20_000 },
    }),
    without: {
      flows: (flows) => ({
        ...flows,
        put: async (kind, id, value, lifeMs) => value === "all" || flows.put(kind, id, value, lifeMs),
      }),
    },
    breaks: ["everybody_unbounded"],
  },
];

function ofSessions(plan: MintPlan): MintPlan {
  return { ...plan, ofSessions: true };
}

function ending(plan: MintPlan): MintPlan {
  const work = { askEveryMs: 200, endEveryMs: 8_000 };
  return { ...ofSessions(plan), sessions: 2, lifeMs: 300_000, jwtLifeMs: 600_000, crash: 0, work };
}

function rejecting(plan: MintPlan): MintPlan {
  return { ...withoutMintFaults(plan), replicas: 3, api: { endsEarly: 0.03, forbids: 0 } };
}

function unended(listener: ChangeListener): ChangeListener {
  return { ...listener, ended() {} };
}

function unread(hidden: string, flows: FlowStore): FlowStore["read"] {
  return async (kind, ...rest) => (kind === hidden ? undefined : flows.read(kind, ...rest));
}

function unset(dropped: string, flows: FlowStore): FlowStore["set"] {
  return async (kind, ...rest) => (kind === dropped ? undefined : flows.set(kind, ...rest));
}
