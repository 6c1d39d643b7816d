import type { Provider, RefreshOutcome } from "../../src/providers/provider.ts";
import { Secret } from "../../src/secret.ts";
import type { AuthorizationServer, Redemption } from "./authorization-server.ts";
import type { History } from "./history.ts";
import type { Ledger, Presentation } from "./ledger.ts";
import type { ProviderPlan } from "./plan.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";

export interface SimProviderDeps {
  readonly server: AuthorizationServer;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly ledger: Ledger;
  readonly config: ProviderPlan;
  /** What holds now; all good once the troubles are over. */
  readonly faults: () => Faults;
  /** The attempt under which this process may present this session's token now. */
  readonly attemptOf: (session: string) => string | undefined;
}

type Faults = Pick<ProviderPlan, "timeoutBefore" | "timeoutAfter" | "slow" | "serverError" | "transient" | "refuses"> & {
  readonly down: boolean;
  readonly frozenDispatch: number;
};

/** The client's patience: what comes later is not read. */
const latestResponseMs = 60_000;

/** One process's client of the authorization server, with what the network and the provider do to it. */
export function createSimProvider(deps: SimProviderDeps): Provider {
  const { server, process, clock, rng, history, ledger, config, faults, attemptOf } = deps;

  return {
    graceMs: config.graceMs > 0 ? config.graceMs : undefined,
    maxConcurrency: 16,
    refreshTokenLifeMs: 30 * 86_400_000,
    killsOldAccess: config.killsOldAccess,
    refresh: ({ refreshToken, beforeSend }) =>
      new Promise((resolve) => {
        if (!process.leaves()) return;
        // Signing an assertion, opening a connection, discovery: the request does not leave in the tick in which it was asked for.
        clock.after(rng.chance(0.1) ? rng.between(5, 500) : rng.between(0, 5), () => process.deliver(() => dispatch(refreshToken.reveal(), beforeSend, resolve)));
      }),
    revoke: (token) =>
      new Promise((resolve) => {
        if (!process.leaves()) return;
        clock.after(rng.between(5, 200), () => {
          server.revoke(token.reveal());
          process.deliver(() => resolve(undefined));
        });
      }),
  };

  function dispatch(token: string, beforeSend: () => boolean, resolve: (outcome: RefreshOutcome) => void): void {
    if (!beforeSend()) return resolve({ kind: "transient", why: "not_sent" });
    const checkedAt = clock.now();
    const attempt = attemptOf(server.refreshToken(token)?.family.session ?? "");
    const send = () => void (process.isEnded() || exchange(token, attempt, checkedAt, resolve));
    if (!rng.chance(faults().frozenDispatch)) return send();
    process.freeze(rng.between(1_000, 40_000));
    process.deliver(send);
  }

  function exchange(token: string, attempt: string | undefined, checkedAt: number, resolve: (outcome: RefreshOutcome) => void): void {
    const session = server.refreshToken(token)?.family.session ?? "";
    const presentation = ledger.begin({ by: process.name, session, token, attempt, checkedAt, sentAt: clock.now() });
    history.note(process.name, "presents", token, `(${presentation.number})`);
    const { down, timeoutBefore, timeoutAfter, slow, serverError, transient, refuses } = faults();
    const end = (ms: number, outcome: RefreshOutcome) => finish(presentation, ms, outcome, resolve);
    if (down) return rng.chance(0.5) ? end(2, { kind: "transient", why: "econnrefused" }) : end(patience(), { kind: "unknown", why: "timeout" });
    if (rng.chance(timeoutBefore)) return end(patience(), { kind: "unknown", why: "timeout" });
    if (rng.chance(transient)) return end(latency(0), { kind: "transient", why: "http_429", retryAfterMs: rng.pick([undefined, 1_000, 5_000]) });
    if (rng.chance(serverError / 4)) return end(latency(0), { kind: "misconfigured", why: "invalid_client" });
    if (rng.chance(serverError / 2)) return end(latency(slow), { kind: "unknown", why: "http_500" });
    const processed = latency(slow);
    clock.after(processed, () => {
      if (rng.chance(refuses)) server.revoke(token);
      const redemption = server.redeem(token);
      history.note("provider", redemption.kind, "for", token, `(${presentation.number})`, redemption.kind === "tokens" ? (redemption.refresh ?? "") : "");
      if (redemption.kind === "refused") presentation.refusedAt = clock.now();
      if (rng.chance(timeoutAfter)) return end(patience(), { kind: "unknown", why: "timeout" });
      if (rng.chance(serverError / 2)) return end(latency(0), { kind: "unknown", why: "http_502" });
      const back = latency(slow);
      if (processed + back > latestResponseMs) return end(latestResponseMs - processed, { kind: "unknown", why: "timeout" });
      end(back, outcomeOf(redemption));
    });
  }

  function finish(presentation: Presentation, ms: number, outcome: RefreshOutcome, resolve: (outcome: RefreshOutcome) => void): void {
    clock.after(Math.max(ms, 0), () => {
      presentation.wireEndAt = clock.now();
      process.deliver(() => {
        presentation.ending = outcome.kind === "misconfigured" || outcome.kind === "transient" ? "unused" : outcome.kind;
        presentation.endedAt = clock.now();
        if (outcome.kind === "tokens") presentation.successor = outcome.tokens.refreshToken?.reveal();
        history.note(process.name, "learns", presentation.ending, presentation.successor ?? "", `(${presentation.number})`);
        resolve(outcome);
      });
    });
  }

  function outcomeOf(redemption: Redemption): RefreshOutcome {
    if (redemption.kind === "refused") return { kind: "refused", why: "invalid_grant" };
    const { access, refresh } = redemption;
    const refreshToken = refresh === undefined ? undefined : new Secret(refresh);
    const tokens = { accessToken: new Secret(access), refreshToken, expiresInMs: config.accessLifeMs };
    return { kind: "tokens", tokens, checks: Promise.resolve(undefined) };
  }

  /** Mostly quick; sometimes longer than anybody waits, and longer than a lease. */
  function latency(slow: number): number {
    return rng.chance(slow) ? rng.pick([rng.between(500, 9_000), rng.between(8_000, 35_000)]) : rng.between(10, 150);
  }

  function patience(): number {
    return rng.pick([rng.between(5, 500), rng.between(1_000, 15_000), latestResponseMs]);
  }
}
