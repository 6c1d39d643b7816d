import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { AnswerRules } from "../providers/answer-rules.ts";
import type { Provider } from "../providers/provider.ts";
import type { ServerConfig } from "../providers/server-configuration.ts";
import { createTokenMint } from "../providers/token-mint.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Change, ChangeListener, TokenStore } from "../stores/token-store.ts";
import { createBreaker } from "../tokens/breaker.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import { createTokenManager, type TokenManagerConfig } from "../tokens/token-manager.ts";
import { clientCredentials } from "./client-credentials.ts";
import { type MintedConfig, needsSubjectToken } from "./config.ts";
import { createEndedSessions } from "./ended-sessions.ts";
import { exchange } from "./exchange.ts";
import { jwtBearer } from "./jwt-bearer.ts";
import type { MintKind } from "./kind.ts";
import type { MintMetrics } from "./metrics.ts";
import { createMintCall } from "./mint-call.ts";
import { createMinter, type Minter } from "./minter.ts";
import { createRefusals } from "./refusals.ts";
import { createRejectionBounds } from "./rejection-bounds.ts";
import { sharedIdOf } from "./shared-records.ts";
import { createSharedTokens } from "./shared-tokens.ts";
import { createUpstreamTokens, type UpstreamTokens } from "./upstream-tokens.ts";

/** An upstream whose tokens are minted. */
interface MintedUpstream extends ServerConfig, AnswerRules {
  readonly minted: MintedConfig;
  readonly maxConcurrency: number;
  readonly accessTokenLifeMs?: number | undefined;
  readonly ca?: string | undefined;
}

interface MintStores {
  readonly flows: FlowStore;
  /** Of this process alone: counts rejections while `flows` does not answer. */
  readonly own: FlowStore;
}

interface ConfiguredTokensDeps {
  readonly config: {
    readonly upstreams: Readonly<Record<string, MintedUpstream | { readonly minted?: undefined }>>;
    readonly refresh: Omit<TokenManagerConfig, "cacheEntries" | "maxStalenessMs" | "maxOutageMs">;
    readonly cache: Pick<TokenManagerConfig, "maxStalenessMs" | "maxOutageMs"> & { readonly maxSessions: number };
  };
  readonly store: TokenStore;
  readonly flowStores: MintStores | undefined;
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
export function configuredTokens({ config, flowStores, ...deps }: ConfiguredTokensDeps): UpstreamTokens {
  const { fetchFor, clock, store, metrics } = deps;
  const tokenConfig = { ...config.refresh, ...config.cache, cacheEntries: config.cache.maxSessions };
  const heard = (change: Change) => minters.get(change.upstream)?.heard(change);
  const grants = createTokenManager({
    ...{ ...deps, metrics: metrics.tokens, config: tokenConfig },
    store: { ...store, listen: (listener) => store.listen(heardBy(listener, heard)) },
  });
  const minters: ReadonlyMap<string, Minter> = new Map(
    Object.entries(config.upstreams).flatMap(([name, upstream]) =>
      upstream.minted === undefined || flowStores === undefined
        ? []
        : [[name, minterOf(name, upstream, flowStores)] as const],
    ),
  );
  const ofSessions = Object.values(config.upstreams).some(({ minted }) => minted && needsSubjectToken(minted));
  const ended = flowStores && ofSessions ? createEndedSessions({ flows: flowStores.flows, clock }) : undefined;
  return createUpstreamTokens(grants, minters, async (session, endedAt) => ended?.end(session, endedAt));

  function minterOf(upstream: string, server: MintedUpstream, { flows, own }: MintStores): Minter {
    const { timeoutMs } = tokenConfig;
    const { minted, maxConcurrency, issuer = "", tokenEndpoint = issuer, clientId } = server;
    const mint = createTokenMint({ config: server, fetch: fetchFor(server.ca), clock, timeoutMs });
    const kind = kindOf(minted, deps);
    const breaker = createBreaker({ ...deps, upstream, metrics: metrics.tokens });
    const scope = [upstream, tokenEndpoint, clientId, JSON.stringify(minted)];
    const announced = (version: string) => ({ session: sharedIdOf(version), upstream, version });
    const { ofSessions } = kind;
    return createMinter({
      ...{ ...deps, upstream, kind, scope },
      call: createMintCall({
        ...{ ...deps, upstream, kind, mint, breaker, maxConcurrency, patienceMs: timeoutMs },
        refusals: createRefusals(clock),
        consentUrl: "consentUrl" in minted ? minted.consentUrl : undefined,
        metrics: metrics.mints,
      }),
      ended: createEndedSessions({ flows, clock }),
      shared: createSharedTokens({
        ...{ ...deps, flows, patienceMs: timeoutMs / 2 },
        announce: (id) => store.announce({ session: id, upstream, version: "minted" }),
      }),
      bounds: createRejectionBounds({ flows, scope, ofSessions }),
      ownBounds: createRejectionBounds({ flows: own, scope, ofSessions }),
      announce: (version) => store.announce({ ...announced(version), isRejected: true }),
      config: { ...tokenConfig, lifeMs: server.accessTokenLifeMs ?? defaultLifeMs },
    });
  }
}

/** The minters hear what concerns their upstreams, beside the listener. */
function heardBy(listener: ChangeListener, heard: (change: Change) => void): ChangeListener {
  const changed = (change: Change) => {
    heard(change);
    listener.changed(change);
  };
  return { ...listener, changed };
}

function kindOf(minted: MintedConfig, deps: Pick<ConfiguredTokensDeps, "clock" | "random">): MintKind {
  switch (minted.kind) {
    case "clientCredentials":
      return clientCredentials(minted);
    case "exchange":
      return exchange(minted);
    case "jwtBearer":
      return jwtBearer({ ...deps, config: minted });
    default:
      return minted satisfies never;
  }
}
