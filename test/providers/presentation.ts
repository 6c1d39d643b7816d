import { systemClock } from "../../src/platform/clock.ts";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { Secret } from "../../src/platform/secret.ts";
import {
  createOAuthProvider,
  type OAuthProviderConfig,
  type OAuthProviderDeps,
} from "../../src/providers/oauth-provider.ts";
import type { RefreshOutcome } from "../../src/providers/outcome.ts";
import type { Provider } from "../../src/providers/provider.ts";

/**
 * A provider as the service makes it for a loopback endpoint; a public client with nothing to add unless told
 * otherwise.
 */
export function providerOf(config: Partial<OAuthProviderConfig>, deps: Partial<OAuthProviderDeps> = {}): Provider {
  const defaults: OAuthProviderConfig = {
    clientId: "gateway",
    clientAuth: { method: "none" },
    parameters: [],
    allowInsecure: true,
    refreshTokenLifeMs: 30 * 86_400_000,
    killsOldAccess: false,
    maxConcurrency: 32,
  };
  return createOAuthProvider({
    config: { ...defaults, ...config },
    fetch: createFetchFor({})(undefined),
    clock: systemClock(),
    ...deps,
  });
}

/** Presents a refresh token; by default nothing stops it. */
export function present(
  provider: Provider,
  refreshToken = "refresh-0",
  beforeSend: () => boolean = () => true,
): Promise<RefreshOutcome> {
  return provider.refresh({ refreshToken: new Secret(refreshToken), beforeSend });
}

/** The outcome with its secrets in the open and its checks awaited, for comparison. */
export async function revealed(outcome: RefreshOutcome): Promise<Record<string, unknown>> {
  if (outcome.kind !== "tokens") return { ...outcome };
  const { accessToken, refreshToken, ...rest } = outcome.tokens;
  return {
    kind: outcome.kind,
    ...rest,
    accessToken: accessToken?.reveal(),
    refreshToken: refreshToken?.reveal(),
    checks: await outcome.checks,
  };
}
