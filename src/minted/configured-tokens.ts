import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { AnswerRules } from "../providers/answer-rules.ts";
import type { Provider } from "../providers/provider.ts";
import type { ServerConfig } from "../providers/server-configuration.ts";
import { createTokenMint } from "../providers/token-mint.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { TokenStore } from "../stores/token-store.ts";
import { createBreaker } from "../tokens/breaker.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import { createTokenManager, type TokenManager, type TokenManagerConfig } from "../tokens/token-manager.ts";
import { clientCredentials } from "./client-credentials.ts";
import type { MintedConfig } from "./config.ts";
import type { MintMetrics } from "./metrics.ts";
import { createMintCall } from "./mint-call.ts";
import { createMinter, type Minter } from "./minter.ts";
import { createSharedTokens } from "./shared-tokens.ts";
import { createUpstreamTokens } from "./upstream-tokens.ts";

/** An upstream whose tokens are minted. */
interface MintedUpstream extends ServerConfig, AnswerRules {
  readonly minted: MintedConfig;
  readonly maxConcurrency: number;
  readonly accessTokenLifeMs?: number | undefined;
  readonly ca?: string | undefined;
}

interface ConfiguredTokensDeps {
  readonly config: {
    readonly upstreams: Readonly<Record<string, MintedUpstream | { readonly minted?: undefined }>>;
    readonly refresh: Omit<TokenManagerConfig, "cacheEntries" | "maxStalenessMs" | "maxOutageMs">;
    readonly cache: Pick<TokenManagerConfig, "maxStalenessMs" | "maxOutageMs"> & { readonly maxSessions: number };
  };
  readonly store: TokenStore;
  readonly flowStores: { readonly flows: FlowStore } | undefined;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: { readonly tokens: TokenMetrics; readonly mints: MintMetrics };
}

/** A token lives this long where neither its provider nor the upstream says, ms. */
const defaultLifeMs = 5 * 60_000;

/** The tokens of all configured upstreams. */
export function configuredTokens({ config, flowStores, ...deps }: ConfiguredTokensDeps): TokenManager {
  const { fetchFor, clock, metrics } = deps;
  const tokenConfig = { ...config.refresh, ...config.cache, cacheEntries: config.cache.maxSessions };
  const grants = createTokenManager({ ...deps, metrics: metrics.tokens, config: tokenConfig });
  const minters = Object.entries(config.upstreams).flatMap(([name, upstream]) =>
    upstream.minted === undefined || flowStores === undefined
      ? []
      : [[name, minterOf(name, upstream, flowStores.flows)] as const],
  );
  return createUpstreamTokens(grants, new Map(minters));

  function minterOf(upstream: string, server: MintedUpstream, flows: FlowStore): Minter {
    const { timeoutMs } = tokenConfig;
    const { minted, maxConcurrency, issuer = "", tokenEndpoint = issuer, clientId } = server;
    const mint = createTokenMint({ config: server, fetch: fetchFor(server.ca), clock, timeoutMs });
    const breaker = createBreaker({ ...deps, upstream, metrics: metrics.tokens });
    const scope = [upstream, tokenEndpoint, clientId, JSON.stringify(minted)];
    return createMinter({
      ...deps,
      upstream,
      kind: clientCredentials(minted),
      call: createMintCall({ ...deps, upstream, mint, breaker, maxConcurrency, metrics: metrics.mints }),
      shared: createSharedTokens({ ...deps, flows, scope, patienceMs: timeoutMs / 2 }),
      config: { ...tokenConfig, lifeMs: server.accessTokenLifeMs ?? defaultLifeMs },
    });
  }
}
