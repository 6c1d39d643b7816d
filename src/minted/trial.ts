import type { MintRequest } from "../providers/token-mint.ts";
import type { CrossAppConfig, ExchangeConfig, MintedConfig } from "./config.ts";
import { idJagType, idTokenType } from "./cross-app.ts";
import { exchangeGrant } from "./exchange.ts";
import { jwtBearerGrant } from "./jwt-bearer.ts";

/** A request that tells whether a provider takes our client: with a token that cannot exist in place of a session's. */
export function trialRequest(minted: MintedConfig, unknownToken: string): MintRequest {
  switch (minted.kind) {
    case "clientCredentials":
      return { grantType: "client_credentials", parameters: minted.parameters };
    case "exchange": {
      const subject: [string, string][] = [
        ["subject_token", unknownToken],
        ["subject_token_type", minted.subjectTokenType],
      ];
      if (minted.requestedTokenType !== undefined) subject.push(["requested_token_type", minted.requestedTokenType]);
      return { grantType: exchangeGrant, parameters: [...subject, ...minted.parameters] };
    }
    case "jwtBearer":
    case "crossApp":
      return {
        grantType: jwtBearerGrant,
        parameters: [["assertion", unknownToken], ...(minted.kind === "jwtBearer" ? minted.parameters : [])],
      };
    default:
      return minted satisfies never;
  }
}

/** What the identity provider of a `crossApp` is asked. */
export function firstStepOf({ parameters }: CrossAppConfig): ExchangeConfig {
  return { kind: "exchange", parameters, subjectTokenType: idTokenType, requestedTokenType: idJagType };
}
