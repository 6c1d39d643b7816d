import type { Registry } from "prom-client";
import type { LoginEnding, StepUpEnding } from "../connect/metrics.ts";
import type { RegistrationEnding, RevocationEnding } from "../providers/metrics.ts";
import type { GrantMetrics } from "./metrics.ts";
import type { Names } from "./names.ts";
import { createCells, type Shape } from "./series.ts";

const logins = ["connected", "denied", "refused", "superseded", "failed"] as const satisfies readonly LoginEnding[];
const stepUps = ["offered", "repeated", "nothing_new", "unavailable"] as const satisfies readonly StepUpEnding[];
const revocations = ["done", "unconfirmed", "none"] as const satisfies readonly RevocationEnding[];

const registrations = ["registered", "failed"] as const satisfies readonly RegistrationEnding[];

/** Counts logins, users who are asked for more, tokens ended at their provider, and clients that registered themselves, by upstream. */
export function createGrantMetrics(registry: Registry, upstreams: Names): GrantMetrics {
  const login = createCounter<LoginEnding>(logins, {
    name: "bearerswap_logins_total",
    help: "Users who came back from a login. result: connected, denied by the provider or the user, refused (another browser, session or user came back), superseded by a newer login, or failed.",
    labels: ["upstream", "result"],
  });
  const steppedUp = createCounter<StepUpEnding>(stepUps, {
    name: "bearerswap_step_ups_total",
    help: "Answers of an API that wants a wider scope (403, insufficient_scope). result: offered (the user is asked for it), repeated (the user was asked in the last ten minutes), nothing_new (nothing that it names may be asked for and is wanting), unavailable (something did not answer, or no page can be named). All but the first go to the client as plain 403.",
    labels: ["upstream", "result"],
  });
  const revocation = createCounter<RevocationEnding>(revocations, {
    name: "bearerswap_revocations_total",
    help: "Tokens that were to be ended at their provider. result: done, unconfirmed where the provider did not say so, none where it cannot be asked.",
    labels: ["upstream", "result"],
  });
  const registration = createCounter<RegistrationEnding>(registrations, {
    name: "bearerswap_registrations_total",
    help: "Clients of ours that were to register themselves at an MCP server's provider. result: registered, or failed.",
    labels: ["upstream", "result"],
  });
  return { login, steppedUp, revocation, registration };

  /** All series exist from the start, so that rates are known from the first event on. */
  function createCounter<E extends string>(endings: readonly E[], shape: Shape): (upstream: string, ending: E) => void {
    const cells = createCells(registry, "counter", shape);
    const known = new Set<string>();
    upstreams.each((upstream) => {
      known.add(upstream);
      for (const ending of endings) cells.of(upstream, ending);
    });
    return (upstream, ending) => {
      if (known.has(upstream)) cells.of(upstream, ending).value += 1;
    };
  }
}
