import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { fetchProblem } from "../platform/discovery.ts";
import { messageOf, withCauses } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { AnswerRules } from "./answer-rules.ts";
import type { RefreshOutcome, SentOutcome } from "./outcome.ts";
import { createServerConfiguration, type ServerConfig } from "./server-configuration.ts";
import { createTokenExchange } from "./token-exchange.ts";

/** A token request that uses nothing up (RFC 6749 §4.5), so that it can be made again freely. */
export interface MintRequest {
  readonly grantType: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** Asks a provider for an access token once. Never rejects. */
export type TokenMint = (request: MintRequest) => Promise<RefreshOutcome>;

interface TokenMintDeps {
  readonly config: ServerConfig & AnswerRules;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  /** A call that takes longer than this, ms, is given up: nothing is lost with its answer. */
  readonly timeoutMs: number;
}

export function createTokenMint({ config, fetch, clock, timeoutMs }: TokenMintDeps): TokenMint {
  const server = createServerConfiguration({ config, fetch, clock });

  return async function mint({ grantType, parameters }) {
    const { fetch: sendOnce, outcome } = createTokenExchange({ config, send: server.send, clock });
    let configuration: openid.Configuration;
    try {
      configuration = await server.configure(sendOnce);
    } catch (error) {
      return { kind: "transient", why: `discovery failed: ${fetchProblem(error)}` };
    }
    configuration.timeout = timeoutMs / 1_000;
    const form = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value]));
    const grant = openid.genericGrantRequest(configuration, grantType, form);
    const checks = grant.then(
      () => undefined,
      (error: unknown) => withCauses(error),
    );
    // Where openid-client refuses to make the request, there is no outcome but its words.
    const refused = grant.then(
      () => outcome,
      (error: unknown): SentOutcome => ({ kind: "transient", why: messageOf(error) }),
    );
    const sent = await Promise.race([outcome, refused]);
    return sent.kind === "tokens" ? { ...sent, checks } : sent;
  };
}
