import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Provider, SecretEntry } from "./provider.ts";
import type { SecretConfig } from "./secret-config.ts";
import { readKey, readUserAndPassword } from "./secret-text.ts";
import { createVerification } from "./secret-verification.ts";

export interface SecretProviderConfig {
  readonly secret: SecretConfig;
  readonly inject: { readonly header: string; readonly format: string };
  readonly maxConcurrency: number;
}

/**
 * An API in place of a provider: its users have secrets, which are kept as grants without a refresh token and without
 * an end. There is nobody to refresh them, and nobody to end them at: they are their users' own, and may be in use
 * elsewhere.
 */
export function createSecretProvider({
  config: { secret, inject, maxConcurrency },
  fetch,
}: {
  readonly config: SecretProviderConfig;
  readonly fetch: HttpFetch;
}): Provider {
  return {
    secret: entryOf(secret, inject, fetch),
    // A refresh token here is left from a time when the upstream had another kind of token.
    refresh: async () => ({ kind: "refused", why: "no_refresh_of_secrets" }),
    revoke: async () => undefined,
    maxConcurrency,
    refreshTokenLifeMs: secret.idleMs,
    killsOldAccess: false,
  };
}

function entryOf(config: SecretConfig, inject: SecretProviderConfig["inject"], fetch: HttpFetch): SecretEntry {
  const { label, help, user, verify } = config;
  return {
    label,
    help,
    user,
    read: (entered) => (user === undefined ? readKey(entered, label) : readUserAndPassword(entered, { user, label })),
    verify: verify && createVerification({ config: verify, inject, fetch }),
  };
}
