import type { Clock } from "../../src/platform/clock.ts";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { Provider } from "../../src/providers/provider.ts";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { GrantWrite, TokenStore } from "../../src/stores/token-store.ts";
import type { TokenManagerConfig } from "../../src/tokens/token-manager.ts";
import { managerConfig } from "../tokens/manager-config.ts";
import { type Asking, judgeAnswer } from "./answer-rules.ts";
import { createAuthorizationServer } from "./authorization-server.ts";
import { countLost, judgeEnd, judgeHeld, judgeRecovery } from "./end-rules.ts";
import { createFacts } from "./facts.ts";
import type { History } from "./history.ts";
import { createVerdict, type Judge } from "./judge.ts";
import { createLedger } from "./ledger.ts";
import { faultlessCalls, type Plan } from "./plan.ts";
import { judgePresentation } from "./presentation-rules.ts";
import { createReplica, type Replica, simLog, simRandom, upstream } from "./replica.ts";
import type { Rng } from "./rng.ts";
import { createSimApi } from "./sim-api.ts";
import type { SimClock } from "./sim-clock.ts";
import { createSimLink, type SimLink } from "./sim-link.ts";
import { createSimProcess } from "./sim-process.ts";
import { createSimProvider } from "./sim-provider.ts";
import { createSimStore, type SimStore } from "./sim-store.ts";
import { judgeCall } from "./store-rules.ts";

/** What stands between a token manager and its surroundings, taken away or replaced. */
export interface Protections {
  readonly store?: (store: TokenStore, process: { readonly clock: Clock }) => TokenStore;
  readonly provider?: (provider: Provider, clock: Clock) => Provider;
  readonly config?: Partial<TokenManagerConfig>;
  /** The server is not asked for its history. */
  readonly unasked?: boolean;
}

export interface Member extends Replica {
  readonly link: SimLink;
}

/** All there is in one history: the store, the provider, the replicas, and who watches them. */
export interface SimWorld {
  readonly store: SimStore;
  readonly verdict: ReturnType<typeof createVerdict>;
  /** Those that run. */
  members(): readonly Member[];
  readonly sessions: readonly string[];
  ask(member: Member, session: string, waitMs: number): void;
  logIn(member: Member, session: string): void;
  /** Whether requests of that session are told to log in. */
  needsLogin(session: string): boolean;
  revoke(member: Member, session: string): void;
  providerGoesDown(ms: number): void;
  refuseCommits(ms: number): void;
  /** No further fault. */
  calmDown(): void;
  judgeEnd(): Promise<void>;
}

export interface SimWorldDeps {
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  /** A chance of its own, so that the API shifts no draw of others. */
  readonly apiRng: Rng;
  readonly plan: Plan;
  readonly without: Protections;
  /** How likely a process ends at its next step. */
  readonly crashChance: () => number;
}

const config = managerConfig;
const leaseMs = config.timeoutMs + 5_000;
const month = 30 * 86_400_000;
/** So long after the last fault leases, responses, back-offs of the breaker and the longest wait are over. */
const settlingMs = 80_000;
const noFaults = { slow: 0, late: 0, lost: 0 };
const noProviderFaults = { down: false, frozenDispatch: 0, ...faultlessCalls };

export function createSimWorld({ clock, rng, apiRng, history, plan, without, crashChance }: SimWorldDeps): SimWorld {
  const verdict = createVerdict(clock.now, history);
  const facts = createFacts(clock.now);
  const server = createAuthorizationServer(plan.provider, clock.now, () => verdict.count("endedByReuse"));
  const ledger = createLedger((presentation, earlier) => judgePresentation(judge, presentation, earlier));
  const members = new Map<string, Member>();
  const processes = new Map<string, Member["process"]>();
  const commitsRefused: { readonly from: number; readonly to: number }[] = [];
  const open = new Set<Asking>();
  const givenBack: string[] = [];
  const sessions = ["alice", "bob"].slice(0, plan.sessions);
  let providerDownUntil = 0;
  let calm = false;
  let calmAt = Number.POSITIVE_INFINITY;
  const judge: Judge = {
    now: clock.now,
    facts,
    server,
    ledger,
    process: (name) => processes.get(name),
    provider: plan.provider,
    settledAt: () => calmAt + settlingMs,
    commitsRefused: (from, to) => commitsRefused.some((span) => span.from <= to && span.to >= from),
    rules: { ...config, leaseMs },
    violated: verdict.violated,
    count: verdict.count,
  };
  const store = createSimStore({
    clock,
    history,
    facts: {
      executed(executed) {
        const before = facts.now(executed.call.key.session);
        judgeCall(judge, executed, before);
        facts.executed(executed);
        const { state, version } = facts.now(executed.call.key.session);
        if (executed.call.op !== "read")
          history.note("store", executed.call.op, "of", executed.by, executed.result ?? "", "→", state, version);
      },
      lost(lost, kept) {
        if (lost.length > 0) verdict.count("failoversWithLoss");
        facts.lost(lost, kept);
      },
    },
  });
  const running = () => [...members.values()];
  const api = createSimApi({ judge, clock, history, rng: apiRng, plan: plan.api, members: running });
  for (let number = 1; number <= plan.replicas; number++) start();

  return {
    store,
    verdict,
    members: running,
    sessions,
    ask,
    logIn(member, session) {
      if (rng.chance(0.5)) member.tokens.put(keyOf(session), issue(member, session)).catch(() => {});
      else connect(member, session).catch(() => {});
    },
    needsLogin: (session) => facts.now(session).state !== "active",
    revoke(member, session) {
      history.note(member.process.name, "revokes", session);
      member.tokens.revoke(keyOf(session)).catch(() => {});
    },
    providerGoesDown(ms) {
      history.note("provider", "goes down for", ms);
      providerDownUntil = clock.now() + ms;
    },
    refuseCommits(ms) {
      commitsRefused.push({ from: clock.now(), to: clock.now() + ms });
      store.refuseCommits(ms);
    },
    calmDown() {
      calm = true;
      calmAt = clock.now();
      history.note("", "no further fault from here on");
      while (members.size < 2) start();
    },
    judgeEnd: end,
  };

  function start(): void {
    const name = `r${processes.size + 1}`;
    const wallOffsetMs = rng.between(-plan.wallSkewMs, plan.wallSkewMs);
    const process = createSimProcess({
      name,
      clock,
      rng: rng.fork(),
      history,
      wallOffsetMs,
      crashChance: () => (calm ? 0 : crashChance()),
      onCrash: () => replace(name),
    });
    const random = simRandom(name, rng.fork());
    const log = simLog(name, history);
    const link = createSimLink({
      server: store,
      process,
      clock,
      rng: rng.fork(),
      random,
      log,
      history,
      facts,
      faults: () => (calm ? noFaults : plan),
      asks: without.unasked !== true,
    });
    const provider = createSimProvider({
      server,
      process,
      clock,
      rng: rng.fork(),
      history,
      ledger,
      config: plan.provider,
      faults: providerFaults,
      attemptOf: (session) => ({
        attempt: facts.attemptOf(name, session),
        firstAttemptAt: facts.firstAttemptAt(session),
      }),
    });
    const deps = { process, random, log, config: { ...config, ...without.config } };
    const replica = createReplica({
      ...deps,
      store: without.store?.(link.store, process) ?? link.store,
      provider: without.provider?.(provider, process.clock) ?? provider,
    });
    processes.set(name, process);
    members.set(name, { ...replica, link });
  }

  function providerFaults() {
    return calm
      ? noProviderFaults
      : { ...plan.provider, frozenDispatch: plan.frozenDispatch, down: clock.now() < providerDownUntil };
  }

  /** As an orchestrator does: a new process, which knows nothing, some time later. */
  function replace(name: string): void {
    verdict.count("crashes");
    members.delete(name);
    clock.after(rng.between(500, 20_000), () => start());
  }

  function ask(member: Member, session: string, waitMs: number): void {
    const { process, tokens } = member;
    const owner = { session };
    const asking: Asking = { by: process.name, session, at: clock.now(), waitMs };
    const cached = tokens.cached(owner, upstream);
    if (cached !== undefined) {
      judgeAnswer(judge, asking, { kind: "fresh", token: cached });
      api.request(member, asking, cached);
      return;
    }
    open.add(asking);
    void tokens.fresh(owner, upstream, deadlineIn(process.clock, waitMs)).then((answer) => {
      open.delete(asking);
      const what = "why" in answer ? answer.why : "token" in answer ? answer.token.token.reveal() : "";
      history.note(process.name, "answers", session, answer.kind, what);
      judgeAnswer(judge, asking, answer);
      if (answer.kind === "fresh") api.request(member, asking, answer.token);
    });
  }

  /** A login at the provider: what is to be stored of it. */
  function issue({ process }: Member, session: string): GrantWrite & { readonly refresh: string } {
    const { access, refresh, login } = server.logIn(session);
    const at = process.clock.wallMs();
    const life = plan.provider.accessLifeMs;
    history.note(process.name, "stores login", login, session, refresh);
    return {
      version: `login${login}`,
      grant: { refreshToken: new Secret(refresh), createdAt: at, refreshedAt: at },
      access: { token: new Secret(access), remainingMs: life, lifeMs: life },
      life: { ms: month, stated: false },
      refresh,
    };
  }

  /**
   * As a user does it in a browser: the code is redeemed between the look and the write, and tokens that were not
   * stored are given back.
   */
  async function connect(member: Member, session: string): Promise<void> {
    const login = await member.tokens.beginLogin(keyOf(session));
    await new Promise<void>((resolve) => member.process.clock.after(rng.between(20, 3_000), resolve));
    const { refresh, ...write } = issue(member, session);
    if ((await login.store(write)).result !== "superseded") return;
    history.note(member.process.name, "gives back", refresh);
    server.revoke(refresh);
    givenBack.push(write.version);
  }

  async function end(): Promise<void> {
    for (const session of sessions) {
      for (const { process, tokens } of members.values()) {
        const askedAt = clock.now();
        void tokens
          .fresh({ session }, upstream, deadlineIn(process.clock, 12_000))
          .then((answer) => judgeRecovery(judge, session, process.name, askedAt, answer));
        await clock.run(clock.now() + 15_000);
      }
    }
    for (const { by, at } of open)
      if (processes.get(by)?.isEnded() === false)
        verdict.violated("deadline", `${by} never answered what it was asked at ${at}`);
    for (const session of sessions) {
      judgeHeld(judge, session);
      countLost(judge, session);
    }
    for (const version of givenBack)
      if (facts.wasWritten(version))
        verdict.violated("given_back", `the tokens of ${version} were given back, and it was stored`);
    judgeEnd(judge);
  }

  function keyOf(session: string): GrantKey {
    return { session, upstream };
  }
}
