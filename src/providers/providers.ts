import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { RevocationEnding, RevocationMetrics } from "./metrics.ts";
import { createOAuthProvider, type OAuthProviderConfig } from "./oauth-provider.ts";
import type { Provider } from "./provider.ts";

interface ProvidersDeps {
  /** By the upstream's name. `ca`: the authority of the provider's certificates, PEM. */
  readonly config: Readonly<Record<string, OAuthProviderConfig & { readonly ca?: string | undefined }>>;
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
  readonly metrics: RevocationMetrics;
}

/** The authorization server of each upstream, by the upstream's name. */
export function createProviders({ config, fetchFor, clock, metrics }: ProvidersDeps): ReadonlyMap<string, Provider> {
  return new Map(
    Object.entries(config).map(([upstream, server]) => {
      const onRevocation = (ending: RevocationEnding) => metrics.revocation(upstream, ending);
      return [upstream, createOAuthProvider({ config: server, fetch: fetchFor(server.ca), clock, onRevocation })];
    }),
  );
}
