import { Secret } from "../../src/platform/secret.ts";
import type { RefreshOutcome } from "../../src/providers/outcome.ts";
import type { TokenMint } from "../../src/providers/token-mint.ts";
import type { History } from "./history.ts";
import type { MintPlan } from "./mint-plan.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";

/** A token that the provider gave. */
export interface Issued {
  readonly token: string;
  /** For whom: what the request named. */
  readonly of: string;
  readonly number: number;
  readonly at: number;
  readonly until: number;
}

/** One call to the provider. */
export interface MintCall {
  readonly by: string;
  readonly of: string;
  readonly at: number;
  /** When the caller learned its ending; Infinity until then. */
  endedAt: number;
  /** Whether that was a token. */
  brought: boolean;
}

/** The provider, as all replicas share it. */
export interface MintIssuer {
  readonly calls: readonly MintCall[];
  begin(by: string, of: string): MintCall;
  issue(of: string): Issued;
  issued(token: string): Issued | undefined;
  last(of: string): Issued | undefined;
  /** When this one was refused last. */
  refused(of: string): number;
  refuse(of: string): void;
}

export function createMintIssuer(clock: SimClock, lifeMs: number, onCall: (call: MintCall) => void): MintIssuer {
  const calls: MintCall[] = [];
  const tokens = new Map<string, Issued>();
  const lastOf = new Map<string, Issued>();
  const refusals = new Map<string, number>();
  return {
    calls,
    begin(by, of) {
      const call: MintCall = { by, of, at: clock.now(), endedAt: Number.POSITIVE_INFINITY, brought: false };
      onCall(call);
      calls.push(call);
      return call;
    },
    issue(of) {
      const number = tokens.size + 1;
      const issued = { token: `t${number}`, of, number, at: clock.now(), until: clock.now() + lifeMs };
      tokens.set(issued.token, issued);
      lastOf.set(of, issued);
      return issued;
    },
    issued: (token) => tokens.get(token),
    last: (of) => lastOf.get(of),
    refused: (of) => refusals.get(of) ?? Number.NEGATIVE_INFINITY,
    refuse: (of) => void refusals.set(of, clock.now()),
  };
}

interface MintClientDeps {
  readonly issuer: MintIssuer;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly lifeMs: number;
  readonly timeoutMs: number;
  readonly faults: () => MintPlan["provider"] & { readonly down: boolean };
}

/** One process's client of it. */
export function createMintClient(deps: MintClientDeps): TokenMint {
  const { issuer, process, clock, rng, history, lifeMs, timeoutMs, faults } = deps;

  return ({ parameters }) =>
    new Promise((resolve) => {
      if (!process.leaves()) return;
      const of = parameters[0]?.[1] ?? "";
      const call = issuer.begin(process.name, of);
      history.note(process.name, "asks for", of);
      const { afterMs, outcome } = fate(of);
      const late = afterMs >= timeoutMs;
      clock.after(Math.min(afterMs, timeoutMs), () =>
        process.deliver(() => {
          call.endedAt = clock.now();
          const learned: RefreshOutcome = late ? { kind: "unknown", why: "timeout" } : outcome;
          call.brought = learned.kind === "tokens";
          history.note(process.name, "learns", learned.kind, tokenIn(learned), "of", of);
          resolve(learned);
        }),
      );
    });

  function fate(of: string): { readonly afterMs: number; readonly outcome: RefreshOutcome } {
    const { down, lost, fails, refuses, slow } = faults();
    const afterMs = rng.chance(slow)
      ? rng.pick([rng.between(500, 4_000), rng.between(3_000, 14_000)])
      : rng.between(10, 150);
    if (down && rng.chance(0.5)) return { afterMs: 2, outcome: { kind: "transient", why: "econnrefused" } };
    if (down || rng.chance(lost)) return { afterMs: timeoutMs, outcome: { kind: "unknown", why: "timeout" } };
    if (rng.chance(fails))
      return {
        afterMs,
        outcome: rng.pick<RefreshOutcome>([
          { kind: "transient", why: "http_429", retryAfterMs: 2_000 },
          { kind: "unknown", why: "http_500" },
          { kind: "misconfigured", why: "invalid_client" },
        ]),
      };
    if (rng.chance(refuses)) {
      issuer.refuse(of);
      return { afterMs, outcome: { kind: "refused", why: "invalid_grant" } };
    }
    const { token } = issuer.issue(of);
    const tokens = { accessToken: new Secret(token), expiresInMs: lifeMs };
    return { afterMs, outcome: { kind: "tokens", tokens, checks: Promise.resolve(undefined) } };
  }
}

function tokenIn(outcome: RefreshOutcome): string {
  return outcome.kind === "tokens" ? (outcome.tokens.accessToken?.reveal() ?? "") : outcome.why;
}
