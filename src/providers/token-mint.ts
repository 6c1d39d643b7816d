import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { AnswerRules } from "./answer-rules.ts";
import type { RefreshOutcome } from "./outcome.ts";
import { createServerConfiguration, type ServerConfig } from "./server-configuration.ts";
import { createTokenExchange, outcomeOf } from "./token-exchange.ts";

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

  return function mint({ grantType, parameters }) {
    const exchange = createTokenExchange({ config, send: server.send, clock });
    const form = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value]));
    return outcomeOf(exchange, server.configure, (configuration) => {
      configuration.timeout = timeoutMs / 1_000;
      return openid.genericGrantRequest(configuration, grantType, form);
    });
  };
}
