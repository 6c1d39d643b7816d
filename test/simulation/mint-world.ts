import type { MintKind } from "../../src/minted/kind.ts";
import type { Minter } from "../../src/minted/minter.ts";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { FlowStore } from "../../src/stores/flow-store.ts";
import type { Change, ChangeListener } from "../../src/stores/token-store.ts";
import type { AccessToken } from "../../src/tokens/access-token.ts";
import type { TokenAnswer } from "../../src/tokens/answers.ts";
import { createCoherence } from "../../src/tokens/coherence.ts";
import type { History } from "./history.ts";
import { faultlessMint, type MintPlan } from "./mint-plan.ts";
import { createMintClient, createMintIssuer, type MintIssuer } from "./mint-provider.ts";
import { createMintReplica, mintConfig } from "./mint-replica.ts";
import { createMintJudge, type SimJwt } from "./mint-rules.ts";
import { createMintLink, createMintStore, type MintLink, type MintStore } from "./mint-store.ts";
import { simLog, simRandom, upstream } from "./replica.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import { createSimProcess, type SimProcess } from "./sim-process.ts";

/** What stands between a minter and its surroundings, taken away or replaced. */
export interface MintProtections {
  readonly flows?: (flows: FlowStore) => FlowStore;
  readonly kind?: (kind: MintKind) => MintKind;
  readonly config?: Partial<typeof mintConfig>;
  readonly listener?: (listener: ChangeListener) => ChangeListener;
  readonly announce?: (announce: (change: Change) => Promise<void>) => (change: Change) => Promise<void>;
}

export interface MintMember {
  readonly process: SimProcess;
  readonly link: MintLink;
  readonly minter: Minter;
  readonly logOut: (session: string, endedAt: number) => Promise<void>;
}

/** All there is in one history of minted tokens. */
export interface MintWorld {
  readonly store: MintStore;
  readonly judge: ReturnType<typeof createMintJudge>;
  readonly sessions: readonly string[];
  members(): readonly MintMember[];
  ask(member: MintMember, session: string, waitMs: number): void;
  end(session: string): void;
  providerGoesDown(ms: number): void;
  rejectEverybody(ms: number): void;
  failover(ms: number, lostMs: number): void;
  calmDown(): void;
  judgeEnd(): Promise<void>;
}

interface MintWorldDeps {
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly plan: MintPlan;
  readonly without: MintProtections;
}

const everybody = "everybody";
/** So long after the last fault everything has to be as it should, ms: holds and the pauses of the breaker are over. */
const settlingMs = 80_000;

export function createMintWorld({ clock, rng, history, plan, without }: MintWorldDeps): MintWorld {
  const members = new Map<string, MintMember>();
  const processes = new Map<string, { readonly process: SimProcess; readonly link: MintLink }>();
  const jwts = new Map<string, SimJwt>();
  const endedTokens = new Set<string>();
  const sessions = Array.from({ length: plan.sessions }, (_, at) => `s${at + 1}`);
  const store: MintStore = createMintStore({ clock, history, executed: (...done) => judge.executed(...done) });
  const issuer: MintIssuer = createMintIssuer(clock, plan.lifeMs, (call) => judge.called(call));
  let providerDownUntil = 0;
  let rejectsAllUntil = 0;
  let calm = false;
  let settledAt = Number.POSITIVE_INFINITY;
  let logins = 0;
  const judge = createMintJudge({
    ...{ clock, history, plan, limits: mintConfig },
    ...{ issuer: () => issuer, store: () => store, process: (name) => processes.get(name)?.process },
    wasDeaf: (name, since) => processes.get(name)?.link.wasDeaf(since, clock.now()) !== false,
  });
  for (let number = 1; number <= plan.replicas; number++) start();

  return {
    ...{ store, judge, sessions },
    members: () => [...members.values()],
    ask,
    end(session) {
      const endedAt = clock.now();
      history.note("issuer", "ends", session);
      judge.count("sessionsEnded");
      tellEnd(session, endedAt);
    },
    providerGoesDown(ms) {
      history.note("provider", "goes down for", ms);
      providerDownUntil = clock.now() + ms;
    },
    rejectEverybody(ms) {
      history.note("api", "rejects everybody for", ms);
      rejectsAllUntil = clock.now() + ms;
    },
    failover(ms, lostMs) {
      judge.lost(clock.now() - lostMs);
      store.goDown(ms, lostMs);
    },
    calmDown() {
      calm = true;
      settledAt = clock.now() + settlingMs;
      history.note("", "no further fault from here on");
      while (members.size < 2) start();
    },
    judgeEnd: end,
  };

  function start(): void {
    const name = `r${processes.size + 1}`;
    const process = createSimProcess({
      ...{ name, clock, rng: rng.fork(), history },
      wallOffsetMs: rng.between(-plan.wallSkewMs, plan.wallSkewMs),
      crashChance: () => (calm ? 0 : plan.crash),
      onCrash: () => replace(name),
    });
    const faults = () => (calm ? { slow: 0, lost: 0 } : plan);
    const seen = { random: simRandom(name, rng.fork()), log: simLog(name, history) };
    const link = createMintLink({ ...seen, server: store, process, clock, rng: rng.fork(), history, faults });
    const flows = without.flows?.(link.flows) ?? link.flows;
    const mint = createMintClient({
      ...{ issuer, process, clock, rng: rng.fork(), history, lifeMs: plan.lifeMs, timeoutMs: mintConfig.timeoutMs },
      faults: () => ({ ...(calm ? faultlessMint : plan.provider), down: clock.now() < providerDownUntil }),
    });
    const config = { ...mintConfig, ...without.config };
    const coherence = createCoherence(config, process.clock);
    const { minter, ended } = createMintReplica({
      ...{ ...seen, upstream, clock: process.clock, coherence },
      ...{ mint, flows, kind: without.kind?.(kind()) ?? kind() },
      announce: without.announce?.(link.announce) ?? link.announce,
      config,
    });
    const listener = {
      ...{ changed: minter.heard, ended: ended.heard, heard: coherence.heard, gap: coherence.gap },
      tellsHistory() {},
    };
    link.listen(without.listener?.(listener) ?? listener);
    processes.set(name, { process, link });
    members.set(name, { process, link, minter, logOut: ended.end });
  }

  /** As an orchestrator does: a new process, which knows nothing, some time later. */
  function replace(name: string): void {
    judge.crashed();
    members.delete(name);
    clock.after(rng.between(500, 20_000), () => start());
  }

  function kind(): MintKind {
    return {
      ...{ ofSessions: plan.ofSessions, isExchange: true },
      subjectOf: plan.ofSessions ? ({ subjectToken }) => subjectToken : () => ({ id: everybody }),
      request: async ({ id }) => ({ grantType: "simulated", parameters: [["of", id]] }),
      problemOf: () => undefined,
    };
  }

  /** The session's own token, from a login where the last one has ended. */
  function jwtOf(session: string): SimJwt {
    const held = jwts.get(session);
    if (held !== undefined && clock.now() < held.expiresAt + 5_000 && !(judge.isEnded(held) && rng.chance(0.05)))
      return held;
    const expiresAt = Math.round(clock.now() + plan.jwtLifeMs);
    const jwt = { id: `${session}#${++logins}@${expiresAt}`, session, issuedAt: clock.now(), expiresAt };
    jwts.set(session, jwt);
    return jwt;
  }

  function ownerOf({ id, session, issuedAt, expiresAt }: SimJwt) {
    return { session, subjectToken: { id, session, issuedAt, expiresAt, token: new Secret(id) } };
  }

  function ask(member: MintMember, session: string, waitMs: number, jwt = jwtOf(session)): void {
    const { process, minter } = member;
    const of = plan.ofSessions ? jwt.id : everybody;
    const owner = ownerOf(jwt);
    // Check verifies the session's own token, with some tolerance, before anything is minted for it.
    if (process.clock.wallMs() > jwt.expiresAt + 5_000) return;
    const cached = minter.cached(owner);
    if (cached !== undefined) {
      served(member, jwt, of, { kind: "fresh", token: cached });
      return;
    }
    const askedAt = clock.now();
    void within(process, askedAt, waitMs, minter.fresh(owner, deadlineIn(process.clock, waitMs)), (answer) => {
      history.note(process.name, "answers", jwt.id, answer.kind, "why" in answer ? answer.why : textOf(answer));
      served(member, jwt, of, answer);
    });
  }

  function served(member: MintMember, jwt: SimJwt, of: string, answer: TokenAnswer): void {
    judge.answered(member.process.name, jwt, of, answer);
    if (answer.kind === "fresh") request(member, jwt, of, answer.token);
  }

  /** The API gets the request. A 401 is told to one member, and tried again at another. */
  function request(member: MintMember, jwt: SimJwt, of: string, token: AccessToken): void {
    const text = token.token.reveal();
    judge.served(token.version, text);
    if (rng.chance(plan.api.endsEarly)) endedTokens.add(text);
    const isForbidden = rng.chance(plan.api.forbids) || clock.now() < rejectsAllUntil;
    if (!endedTokens.has(text) && !isForbidden) return;
    history.note("api", isForbidden ? "forbids" : "rejects", text, "of", of);
    judge.count("rejections");
    const [told, retried] = [other(member), other(member)];
    told.process.deliver(() => void tell(told, retried, jwt, of, token, isForbidden));
  }

  async function tell(
    told: MintMember,
    retried: MintMember,
    jwt: SimJwt,
    of: string,
    { version }: AccessToken,
    isForbidden: boolean,
  ): Promise<void> {
    const { session } = jwt;
    const ending = await told.minter.rejected({ session, upstream }, version);
    history.note(told.process.name, "is told of", version, ending);
    retried.process.deliver(() => {
      const asked = { session, ownerOf: () => ({ session }) };
      const deadline = deadlineIn(retried.process.clock, 12_000);
      const answer = retried.minter.replacement(asked, upstream, version, deadline);
      void within(retried.process, clock.now(), 12_000, answer, ({ answer: found }) => {
        history.note(retried.process.name, "tries again:", found.kind, "why" in found ? found.why : "");
        if (found.kind !== "unchanged") judge.answered(retried.process.name, jwt, of, found);
        const isNew = found.kind === "fresh" && found.token.version !== version;
        if (isNew) judge.count("healed");
        if (found.kind === "fresh" && !isNew)
          judge.violated("rejected_again", `${retried.process.name} sends ${version} again as another token`);
        const isCurable = clock.now() > settledAt && !isForbidden && (ending === "rejected" || ending === "known");
        if (isCurable && !isNew && found.kind !== "refused")
          judge.violated("not_healed", `${retried.process.name} answers the retry of ${version} with ${found.kind}`);
        if (isNew) judge.served(found.token.version, found.token.token.reveal());
      });
    });
  }

  function other(member: MintMember): MintMember {
    return members.size === 0 ? member : rng.pick([...members.values()]);
  }

  async function within<T>(
    process: SimProcess,
    from: number,
    waitMs: number,
    answer: Promise<T>,
    then: (answer: T) => void,
  ): Promise<void> {
    const found = await answer;
    const lateMs = clock.now() - from - waitMs;
    if (lateMs > 1_000 && !process.wasFrozen(from, clock.now()))
      judge.violated("deadline", `${process.name} answers ${lateMs} ms late`);
    then(found);
  }

  /** An issuer sends it again until somebody has taken it. */
  function tellEnd(session: string, endedAt: number): void {
    const again = () => clock.after(1_000, () => tellEnd(session, endedAt));
    if (members.size === 0) return void again();
    const { process, logOut } = rng.pick([...members.values()]);
    process.deliver(() => void logOut(session, endedAt).catch(again));
  }

  async function end(): Promise<void> {
    for (const session of sessions) {
      jwts.delete(session);
      for (const { process, minter } of members.values()) {
        const owner = ownerOf(jwtOf(session));
        const recovered = ({ kind: found }: TokenAnswer) => {
          if (found !== "fresh") judge.violated("not_recovered", `${process.name} answers ${session} with ${found}`);
        };
        // Within an event: time passes only when all that it leads to has been done.
        clock.after(0, () => void minter.fresh(owner, deadlineIn(process.clock, 12_000)).then(recovered));
        await clock.run(clock.now() + 15_000);
      }
    }
  }
}

function textOf(answer: TokenAnswer): string {
  return answer.kind === "fresh" ? answer.token.token.reveal() : "";
}
