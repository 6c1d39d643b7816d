import { readFile } from "node:fs/promises";
import type { ExchangeConfig } from "./config.ts";
import { bearerProblem, type MintKind } from "./kind.ts";

export const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";

/** Exchanges the session's own token (RFC 8693 §2.1). */
export function exchange(config: ExchangeConfig): MintKind {
  const { parameters, subjectTokenType, requestedTokenType, actor } = config;

  return {
    ofSessions: true,
    isExchange: true,
    subjectOf: ({ subjectToken }) => subjectToken,

    async request({ token }) {
      const own: [string, string][] = [
        ["subject_token", token?.reveal() ?? ""],
        ["subject_token_type", subjectTokenType],
      ];
      if (requestedTokenType !== undefined) own.push(["requested_token_type", requestedTokenType]);
      if (actor !== undefined)
        own.push(["actor_token", (await readFile(actor.file, "utf8")).trim()], ["actor_token_type", actor.tokenType]);
      return { grantType: exchangeGrant, parameters: [...own, ...parameters] };
    },

    /** `N_A` is said of what is no access token, such as an ID token: the upstream's `inject` says how that is sent. */
    problemOf(tokens) {
      const { tokenType, issuedTokenType } = tokens;
      if (issuedTokenType === undefined) return "response_without_issued_token_type";
      const isOther = requestedTokenType !== undefined && issuedTokenType !== requestedTokenType;
      if (isOther || issuedTokenType.endsWith(":refresh_token")) return "response_issued_token_type";
      return bearerProblem({ ...tokens, tokenType: /^n_a$/i.test(tokenType ?? "") ? "bearer" : tokenType });
    },
  };
}
