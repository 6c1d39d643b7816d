import { readFile } from "node:fs/promises";
import { decodeJwt } from "jose";
import { digestOf } from "../platform/digest.ts";
import { Secret } from "../platform/secret.ts";
import type { ExchangeConfig } from "./config.ts";
import { type Actor, bearerProblem, type MintKind } from "./kind.ts";

export const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";

/** Exchanges the session's own token (RFC 8693 §2.1). */
export function exchange(config: ExchangeConfig): MintKind {
  const { parameters, subjectTokenType, requestedTokenType, actor } = config;
  const read = actor && (async () => actorOf((await readFile(actor.file, "utf8")).trim()));

  return {
    ofSessions: true,
    isExchange: true,
    subjectOf: ({ subjectToken }) => subjectToken,

    actor: read,

    async request({ token, actor: given }) {
      const acting = given ?? (await read?.());
      const own: [string, string][] = [
        ["subject_token", token?.reveal() ?? ""],
        ["subject_token_type", subjectTokenType],
      ];
      if (requestedTokenType !== undefined) own.push(["requested_token_type", requestedTokenType]);
      if (actor !== undefined && acting !== undefined)
        own.push(["actor_token", acting.token.reveal()], ["actor_token_type", actor.tokenType]);
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

/** Replicas have tokens of their own of one service account: what they share must not depend on which of them asks. */
function actorOf(text: string): Actor {
  const token = new Secret(text);
  try {
    const { iss, sub, aud, azp, client_id: client, scope } = decodeJwt(text);
    if (sub !== undefined) return { identity: JSON.stringify([iss, sub, aud, azp, client, scope]), token };
  } catch {
    // It is no JWT.
  }
  return { identity: digestOf(text), token };
}
