import type { ClientCredentialsConfig } from "./config.ts";
import { bearerProblem, type MintKind, type Subject } from "./kind.ts";

/** Our client itself: the session has been verified, and which one it is does not matter. */
const ourselves: Subject = { id: "client" };

export function clientCredentials({ parameters }: ClientCredentialsConfig): MintKind {
  const request = { grantType: "client_credentials", parameters };
  return {
    ofSessions: false,
    isExchange: false,
    subjectOf: () => ourselves,
    request: async () => request,
    problemOf: bearerProblem,
  };
}
