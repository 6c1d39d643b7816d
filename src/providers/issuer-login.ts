import type { Clock } from "../platform/clock.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Secret } from "../platform/secret.ts";
import type { CodeFlow } from "./code-flow.ts";
import { createOAuthProvider } from "./oauth-provider.ts";

/** Our client at the issuer of sessions. */
interface IssuerLoginDeps {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: Secret | undefined;
  /** Separated by spaces; holds `openid`. */
  readonly scope: string;
  readonly allowInsecure: boolean;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
}

/** Logs users in at the issuer of sessions, only to learn who they are. Nothing is refreshed there. */
export function createIssuerLogin({
  issuer,
  clientId,
  clientSecret: secret,
  scope,
  allowInsecure,
  fetch,
  clock,
}: IssuerLoginDeps): CodeFlow | undefined {
  const provider = createOAuthProvider({
    config: {
      issuer,
      clientId,
      clientAuth: secret === undefined ? { method: "none" } : { method: "client_secret_basic", secret },
      connect: { scope, parameters: {} },
      allowInsecure,
      ...{ parameters: [], refreshTokenLifeMs: 0, killsOldAccess: false, maxConcurrency: 1 },
    },
    fetch,
    clock,
  });
  return provider.login;
}
