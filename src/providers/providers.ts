import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { GuardedFetchFor } from "../platform/guarded-fetch.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { createMcpProvider, type McpProviderConfig } from "./mcp-provider.ts";
import type { RegistrationMetrics, RevocationEnding, RevocationMetrics } from "./metrics.ts";
import { createOAuthProvider, type OAuthProviderConfig } from "./oauth-provider.ts";
import type { OwnClient } from "./own-client.ts";
import type { Provider } from "./provider.ts";
import type { ClientRecords } from "./registrations.ts";
import type { SecretConfig } from "./secret-config.ts";
import { createSecretProvider, type SecretProviderConfig } from "./secret-provider.ts";

/** `ca`: the authority of the provider's certificates, PEM. */
export type ProviderConfig = ((OAuthProviderConfig & { readonly mcp?: undefined }) | McpProviderConfig) & {
  readonly ca?: string | undefined;
  /** Whether the provider takes part in our traces. */
  readonly traces?: boolean | undefined;
  /** Stated where the upstream's tokens are minted; `identity`: for the logins at that upstream. */
  readonly minted?: { readonly kind: string; readonly identity?: string | undefined } | undefined;
  /** Stated where its users have secrets, and there is no authorization server. */
  readonly secret?: SecretConfig | undefined;
  readonly inject: SecretProviderConfig["inject"];
};

interface ProvidersDeps {
  /** By the upstream's name. */
  readonly config: Readonly<Record<string, ProviderConfig>>;
  /** Our client at MCP servers. Absent where users do not connect accounts. */
  readonly own: OwnClient | undefined;
  /** Where clients are kept that register themselves. */
  readonly records: ClientRecords | undefined;
  readonly fetchFor: FetchFor;
  readonly guardedFetchFor: GuardedFetchFor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: RevocationMetrics & RegistrationMetrics;
  /** Takes over providers that have not changed, with what they know of their servers. */
  readonly keep: Keep;
}

/** The authorization server of each upstream that has grants, by the upstream's name. */
export function createProviders({ config: upstreams, ...deps }: ProvidersDeps): ReadonlyMap<string, Provider> {
  const { own, records, fetchFor, guardedFetchFor, clock, metrics, keep } = deps;
  const identities = new Set(Object.values(upstreams).map(({ minted }) => minted?.identity));
  const withGrants = Object.entries(upstreams).filter(([, { minted }]) => minted === undefined);
  return new Map(withGrants.map(([upstream, config]) => [upstream, kept(upstream, config)]));

  function kept(upstream: string, config: ProviderConfig): Provider {
    const ofMcp = config.mcp === undefined ? [] : [own, records];
    return keep(`provider ${upstream}`, [config, identities.has(upstream), ...ofMcp], () =>
      providerOf(upstream, config),
    );
  }

  function providerOf(upstream: string, config: ProviderConfig): Provider {
    const onRevocation = (ending: RevocationEnding) => metrics.revocation(upstream, ending);
    if (config.secret !== undefined)
      return createSecretProvider({ config: { ...config, secret: config.secret }, fetch: fetchFor(config.ca, config) });
    if (config.mcp === undefined) {
      const keepsIdToken = identities.has(upstream);
      return createOAuthProvider({ config, fetch: fetchFor(config.ca, config), clock, keepsIdToken, onRevocation });
    }
    if (own === undefined || records === undefined)
      throw new BearerswapError("config", `upstreams.${upstream}.mcp needs the section connect`);
    const { mcp: configured, allowInsecure: allowPrivate, traces } = config;
    const fetch = guardedFetchFor(config.ca, { configured, allowPrivate, traces });
    return createMcpProvider({ ...deps, upstream, config, own, records, fetch, onRevocation });
  }
}
