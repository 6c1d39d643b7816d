import type { StoreCall, StoreReply } from "../stores/store-call.ts";
import type { Executed } from "./sim-store.ts";

/** What the store held of a session from `at` on. */
export interface Stretch {
  readonly at: number;
  readonly state: "none" | "active" | "dead" | "revoked";
  readonly version: string;
  readonly refreshToken: string | undefined;
  readonly accessToken: string | undefined;
  /** It is so because the store lost what came after. */
  readonly byLoss: boolean;
}

/** What really happened at the store, seen from outside. */
export interface Facts {
  executed(executed: Executed): void;
  lost(lost: readonly Executed[], kept: readonly Executed[]): void;
  /** A process got the reply. */
  told(executed: Executed): void;
  /** Whether its caller had got the reply by then. */
  wasTold(executed: Executed, by: number): boolean;
  stretches(session: string): readonly Stretch[];
  now(session: string): Stretch;
  /** Stretches that overlap the time given. */
  during(session: string, from: number, to: number): readonly Stretch[];
  /** All that was written to a session, lost or not, in order. */
  writes(session: string): readonly Executed[];
  /** When the store lost it; undefined where it did not. */
  lostAt(executed: Executed): number | undefined;
  /** When the store last heard from an attempt that held the lease. */
  lastSignOf(attempt: string | undefined): number;
  wasLeaseLost(attempt: string | undefined): boolean;
  /** The attempt for which that process has the session's lease, as far as it knows. */
  attemptOf(by: string, session: string): string | undefined;
  /** The attempt's lease was given back, though its token may have been used. */
  wasGivenBack(attempt: string | undefined): boolean;
  /** What the process was told last of a session, and when; undefined where it was told nothing yet. */
  lastTold(by: string, session: string): { readonly op: StoreCall["op"]; readonly at: number } | undefined;
  /** When the first attempt on what the store holds of a session had the lease; Infinity where none had. */
  firstAttemptAt(session: string): number;
  /** Until when the session's lease was somebody else's, as that process was told last. */
  busyUntil(by: string, session: string): number;
  /** When the newest state that the process was told of was read. */
  lastLook(by: string, session: string): number;
  /** A message about a change reached a process. */
  heard(by: string, version: string): void;
  /** When it last did; Infinity where none did. */
  heardAt(by: string, version: string): number;
  /** Versions that were in the store at some time. */
  wasWritten(version: string): boolean;
  /** How long the write of a version was on its way to the store, ms. */
  lateness(version: string): number;
  /** Failovers that lost something of that session. */
  /** Rejections of access tokens that the store took, oldest first. */
  rejections(session: string): readonly Executed[];
  losses(session: string): readonly number[];
}

const nothing: Stretch = {
  at: Number.NEGATIVE_INFINITY,
  state: "none",
  version: "",
  refreshToken: undefined,
  accessToken: undefined,
  byLoss: false,
};

export function createFacts(now: () => number): Facts {
  const stretches = new Map<string, Stretch[]>();
  const writes = new Map<string, Executed[]>();
  const lostAt = new Map<Executed, number>();
  const signs = new Map<string, number>();
  const lostLeases = new Set<string>();
  const givenBack = new Set<string>();
  const firstAttempts = new Map<string, number>();
  const busyUntil = new Map<string, number>();
  const lastTold = new Map<string, { readonly op: StoreCall["op"]; readonly at: number }>();
  const attempts = new Map<string, string>();
  const looks = new Map<string, number>();
  const toldAt = new Map<Executed, number>();
  const versions = new Map<string, number>();
  const heard = new Map<string, number>();
  const losses = new Map<string, number[]>();
  const rejections = new Map<string, Executed[]>();

  const facts: Facts = {
    executed(executed) {
      const { call, result, at } = executed;
      if (call.op === "acquire" && kindOf(result) === "acquired") {
        signs.set(call.request.attempt, at);
        if (!firstAttempts.has(call.key.session)) firstAttempts.set(call.key.session, at);
      }
      if (call.op === "reject" && kindOf(result) === "rejected") append(rejections, call.key.session, executed);
      if (call.op === "renew" && result === true) signs.set(call.attempt, at);
      if (call.op === "release" && result === true && !call.release.unused) givenBack.add(call.release.attempt);
      const next = afterwards(executed, facts.now(call.key.session));
      if (next === undefined) return;
      firstAttempts.delete(call.key.session);
      append(writes, call.key.session, executed);
      append(stretches, call.key.session, next);
      versions.set(next.version, Math.max(versions.get(next.version) ?? 0, at - executed.sentAt));
    },
    lost(lost, kept) {
      for (const executed of lost) {
        lostAt.set(executed, now());
        if (executed.call.op === "acquire") lostLeases.add(executed.call.request.attempt);
        if (executed.call.op === "renew") lostLeases.add(executed.call.attempt);
      }
      for (const session of new Set(lost.map(({ call }) => call.key.session))) {
        append(losses, session, now());
        const before = facts.now(session);
        const state = kept
          .filter(({ call }) => call.key.session === session)
          .reduce((stretch, executed) => afterwards(executed, stretch) ?? stretch, nothing);
        if (state.version !== before.version || state.state !== before.state)
          append(stretches, session, { ...state, at: now(), byLoss: true });
      }
    },
    wasTold: (executed, by) => (toldAt.get(executed) ?? Number.POSITIVE_INFINITY) <= by,
    told(executed) {
      const { call, result, by, at } = executed;
      toldAt.set(executed, now());
      const of = `${by} ${call.key.session}`;
      lastTold.set(of, { op: call.op, at: now() });
      if (typeof result === "object" && result.kind === "busy") busyUntil.set(of, at + result.remainingMs);
      if (call.op === "read" || call.op === "acquire") looks.set(of, Math.max(looks.get(of) ?? 0, at));
      if (call.op === "acquire" && kindOf(result) === "acquired") attempts.set(of, call.request.attempt);
    },
    stretches: (session) => stretches.get(session) ?? [],
    now: (session) => stretches.get(session)?.at(-1) ?? nothing,
    during(session, from, to) {
      const all = [nothing, ...(stretches.get(session) ?? [])];
      return all.filter(({ at }, index) => at <= to && (all[index + 1]?.at ?? Number.POSITIVE_INFINITY) >= from);
    },
    writes: (session) => writes.get(session) ?? [],
    lostAt: (executed) => lostAt.get(executed),
    lastSignOf: (attempt) => signs.get(attempt ?? "") ?? Number.NEGATIVE_INFINITY,
    wasLeaseLost: (attempt) => lostLeases.has(attempt ?? ""),
    wasGivenBack: (attempt) => givenBack.has(attempt ?? ""),
    firstAttemptAt: (session) => firstAttempts.get(session) ?? Number.POSITIVE_INFINITY,
    busyUntil: (by, session) => busyUntil.get(`${by} ${session}`) ?? Number.NEGATIVE_INFINITY,
    lastTold: (by, session) => lastTold.get(`${by} ${session}`),
    attemptOf: (by, session) => attempts.get(`${by} ${session}`),
    lastLook: (by, session) => looks.get(`${by} ${session}`) ?? Number.NEGATIVE_INFINITY,
    heard: (by, version) => void heard.set(`${by} ${version}`, now()),
    heardAt: (by, version) => heard.get(`${by} ${version}`) ?? Number.POSITIVE_INFINITY,
    wasWritten: (version) => versions.has(version),
    lateness: (version) => versions.get(version) ?? 0,
    rejections: (session) => rejections.get(session) ?? [],
    losses: (session) => losses.get(session) ?? [],
  };
  return facts;
}

/** What a call left behind; undefined where it left everything as it was. */
function afterwards({ call, result, at }: Executed, before: Stretch): Stretch | undefined {
  switch (call.op) {
    case "put":
    case "commit":
      return result === "written" ? written(call, at) : undefined;
    case "refuse":
      return result === "dead" ? { ...before, at, state: "dead", byLoss: false } : undefined;
    case "revoke":
      if (call.from !== undefined && before.state !== "none" && before.version !== call.from) return undefined;
      return { ...nothing, at, state: "revoked", version: call.version };
    default:
      return undefined;
  }
}

function written({ write }: Extract<StoreCall, { readonly op: "put" | "commit" }>, at: number): Stretch {
  const { grant, access, version } = write;
  return {
    at,
    state: "active",
    version,
    refreshToken: grant.refreshToken?.reveal(),
    accessToken: access?.token.reveal(),
    byLoss: false,
  };
}

function kindOf(result: StoreReply): string | undefined {
  return typeof result === "object" ? result.kind : undefined;
}

function append<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
