import { Secret } from "../../src/platform/secret.ts";
import type { RefreshOutcome } from "../../src/providers/outcome.ts";
import type { Provider } from "../../src/providers/provider.ts";
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
  /**
   * The attempt under which this process may present this session's token now, and when the first one had the lease.
   */
  readonly attemptOf: (session: string) => Pick<Presentation, "attempt" | "firstAttemptAt">;
}

/** What can go wrong at one moment. */
type Faults = Pick<
  ProviderPlan,
  "timeoutBefore" | "timeoutAfter" | "slow" | "serverError" | "transient" | "refuses"
> & {
  readonly down: boolean;
  readonly frozenDispatch: number;
};

type Resolve = (outcome: RefreshOutcome) => void;

/** How an exchange ends, and when. */
interface Fate {
  readonly afterMs: number;
  readonly outcome: RefreshOutcome;
}

/** The client's patience: what comes later is not read. */
const latestResponseMs = 60_000;

/** One process's client of the authorization server, with what the network and the provider do to it. */
export function createSimProvider(deps: SimProviderDeps): Provider {
  const { server, process, clock, rng, history, ledger, config, faults, attemptOf } = deps;

  return {
    graceMs: config.graceMs > 0 && !config.saysNever ? config.graceMs : undefined,
    neverRotates: config.saysNever,
    maxConcurrency: config.maxConcurrency,
    refreshTokenLifeMs: 30 * 86_400_000,
    killsOldAccess: config.killsOldAccess,
    refresh: ({ refreshToken, beforeSend }) =>
      new Promise((resolve) => {
        if (!process.leaves()) return;
        // Signing an assertion, opening a connection, discovery: the request does not leave in the tick in which it was
        // asked for.
        clock.after(rng.chance(0.1) ? rng.between(5, 500) : rng.between(0, 5), () =>
          process.deliver(() => dispatch(refreshToken.reveal(), beforeSend, resolve)),
        );
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

  function dispatch(token: string, beforeSend: () => boolean, resolve: Resolve): void {
    if (!beforeSend()) {
      resolve({ kind: "transient", why: "not_sent" });
      return;
    }
    const session = server.refreshToken(token)?.family.session ?? "";
    const sending = { by: process.name, session, token, ...attemptOf(session), checkedAt: clock.now() };
    if (rng.chance(faults().frozenDispatch)) process.freeze(rng.between(1_000, 40_000));
    process.deliver(() => exchange(sending, resolve));
  }

  function exchange(
    sending: Pick<Presentation, "by" | "session" | "token" | "attempt" | "firstAttemptAt" | "checkedAt">,
    resolve: Resolve,
  ): void {
    const presentation = ledger.begin({ ...sending, sentAt: clock.now() });
    history.note(process.name, "presents", presentation.token, `(${presentation.number})`);
    const spared = sparing();
    if (spared !== undefined) {
      finish(presentation, spared, resolve);
      return;
    }
    clock.after(latency(), () => finish(presentation, redeeming(presentation), resolve));
  }

  /** How it ends without the provider having touched the token; undefined where it does. */
  function sparing(): Fate | undefined {
    const { down, timeoutBefore, serverError, transient } = faults();
    if (down && rng.chance(0.5)) return { afterMs: 2, outcome: { kind: "transient", why: "econnrefused" } };
    if (down || rng.chance(timeoutBefore)) return timeout();
    if (rng.chance(transient))
      return {
        afterMs: latency(),
        outcome: { kind: "transient", why: "http_429", retryAfterMs: rng.pick([undefined, 1_000, 5_000]) },
      };
    if (rng.chance(serverError / 4))
      return { afterMs: latency(), outcome: { kind: "misconfigured", why: "invalid_client" } };
    return rng.chance(serverError / 2)
      ? { afterMs: latency(), outcome: { kind: "unknown", why: "http_500" } }
      : undefined;
  }

  /** The provider takes the token or refuses it, and says so if it can. */
  function redeeming(presentation: Presentation): Fate {
    const { token, number, sentAt } = presentation;
    const { refuses, timeoutAfter, serverError } = faults();
    if (rng.chance(refuses)) server.revoke(token);
    const redemption = server.redeem(token);
    if (redemption.kind === "refused") presentation.refusedAt = clock.now();
    history.note(
      "provider",
      redemption.kind,
      "for",
      token,
      `(${number})`,
      redemption.kind === "tokens" ? (redemption.refresh ?? "") : "",
    );
    if (rng.chance(timeoutAfter)) return timeout();
    if (rng.chance(serverError / 2)) return { afterMs: latency(), outcome: { kind: "unknown", why: "http_502" } };
    const afterMs = latency();
    return clock.now() + afterMs < sentAt + latestResponseMs ? { afterMs, outcome: outcomeOf(redemption) } : timeout();
  }

  function timeout(): Fate {
    return {
      afterMs: rng.pick([rng.between(5, 500), rng.between(1_000, 15_000), latestResponseMs]),
      outcome: { kind: "unknown", why: "timeout" },
    };
  }

  function finish(presentation: Presentation, { afterMs, outcome }: Fate, resolve: Resolve): void {
    clock.after(Math.min(afterMs, presentation.sentAt + latestResponseMs - clock.now()), () => {
      presentation.wireEndAt = clock.now();
      process.deliver(() => {
        presentation.ending =
          outcome.kind === "misconfigured" || outcome.kind === "transient" ? "unused" : outcome.kind;
        presentation.endedAt = clock.now();
        if (outcome.kind === "tokens") presentation.successor = outcome.tokens.refreshToken?.reveal();
        history.note(
          process.name,
          "learns",
          presentation.ending,
          presentation.successor ?? "",
          `(${presentation.number})`,
        );
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
  function latency(): number {
    return rng.chance(faults().slow)
      ? rng.pick([rng.between(500, 9_000), rng.between(8_000, 35_000), rng.between(10_000, 58_000)])
      : rng.between(10, 150);
  }
}
