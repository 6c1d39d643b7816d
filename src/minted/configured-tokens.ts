import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { AnswerRules } from "../providers/answer-rules.ts";
import type { ServerConfig } from "../providers/server-configuration.ts";
import { createTokenMint } from "../providers/token-mint.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Change, ChangeListener, SessionEnd, TokenStore } from "../stores/token-store.ts";
import { type Breaker, createBreaker } from "../tokens/breaker.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import type { TokenManager, TokenManagerConfig } from "../tokens/token-manager.ts";
import type { Traced } from "../tokens/tracing.ts";
import { clientCredentials } from "./client-credentials.ts";
import { clientIdentity, keyIdentity } from "./client-identity.ts";
import type { CrossAppConfig, MintedConfig } from "./config.ts";
import { createCrossAppMinter, crossApp, idJag } from "./cross-app.ts";
import { createEndedSessions, type EndedSessions, type SessionEnds } from "./ended-sessions.ts";
import { exchange } from "./exchange.ts";
import { createIdJags } from "./id-jags.ts";
import { jwtBearer } from "./jwt-bearer.ts";
import type { MintKind } from "./kind.ts";
import type { MintMetrics } from "./metrics.ts";
import { createMintCall } from "./mint-call.ts";
import { createMinter, type Minter } from "./minter.ts";
import { createRefusals } from "./refusals.ts";
import { createRejectionBounds } from "./rejection-bounds.ts";
import { sharedIdOf } from "./shared-records.ts";
import { createSharedTokens, type SharedTokens } from "./shared-tokens.ts";
import { createUpstreamTokens, type UpstreamTokens } from "./upstream-tokens.ts";

interface Upstream extends Omit<ServerConfig, "clientId">, AnswerRules {
  /** Absent where a client registers itself. */
  readonly clientId?: string | undefined;
  readonly maxConcurrency: number;
  readonly ca?: string | undefined;
  readonly traces?: boolean | undefined;
  /** Absent where it has grants. */
  readonly minted?: MintedConfig | undefined;
  readonly accessTokenLifeMs?: number | undefined;
}

interface MintStores {
  readonly flows: FlowStore;
  /** Of this process alone: counts rejections while `flows` does not answer. */
  readonly own: FlowStore;
}

interface MintParts extends MintStores {
  readonly ended: EndedSessions;
}

/** What says when tokens are replaced, and how many are held. */
interface TokenSections {
  readonly refresh: Omit<TokenManagerConfig, "cacheEntries" | "maxStalenessMs" | "maxOutageMs">;
  readonly cache: Pick<TokenManagerConfig, "maxStalenessMs" | "maxOutageMs"> & { readonly maxSessions: number };
}

interface ConfiguredTokensDeps extends Traced {
  readonly config: TokenSections & { readonly upstreams: Readonly<Record<string, Upstream>> };
  /** The tokens of grants. */
  readonly grants: TokenManager;
  readonly store: Pick<TokenStore, "announce">;
  readonly flowStores: MintStores | undefined;
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: { readonly tokens: TokenMetrics; readonly mints: MintMetrics };
  /** Takes over minters that have not changed, with the tokens that they hold. */
  readonly keep: Keep;
}

/** A token lives this long where neither its provider nor the upstream says, ms. */
const defaultLifeMs = 5 * 60_000;

/** Of what no session's end concerns. */
const living: SessionEnds = {
  ...{ look: async () => "living", peek: async () => "living" },
  ...{ isCurrent: () => true, mayHaveEnded: () => false },
};

/** What a configuration says of tokens in general. */
export function tokenConfigOf({ refresh, cache }: TokenSections): TokenManagerConfig {
  return { ...refresh, ...cache, cacheEntries: cache.maxSessions };
}

/** The tokens of all configured upstreams. */
export function configuredTokens({ config, flowStores, keep, grants, ...deps }: ConfiguredTokensDeps): UpstreamTokens {
  const { fetchFor, clock, store, metrics } = deps;
  const tokenConfig = tokenConfigOf(config);
  const stores = flowStores && { ...flowStores, ended: endedIn(flowStores.flows) };
  const minters: ReadonlyMap<string, Minter> = new Map(
    Object.entries(config.upstreams).flatMap(([name, upstream]) =>
      upstream.minted === undefined || stores === undefined
        ? []
        : [[name, kept(name, upstream, upstream.minted, stores)] as const],
    ),
  );
  // Also where nothing is minted for sessions yet: another configuration may come, or be in force elsewhere already.
  return createUpstreamTokens(grants, minters, stores?.ended);

  function kept(name: string, upstream: Upstream, minted: MintedConfig, stores: MintParts): Minter {
    const identity = minted.kind === "crossApp" ? config.upstreams[minted.identity] : undefined;
    const madeOf = [upstream, identity, tokenConfig, stores];
    return keep(`minter ${name}`, madeOf, () => minterOf(name, upstream, minted, stores));
  }

  /** One for all upstreams: what it has heard outlasts a reload, as the tokens do. */
  function endedIn(flows: FlowStore): EndedSessions {
    const { coherence } = grants;
    return keep("ended sessions", [flows], () => createEndedSessions({ flows, coherence, clock }));
  }

  function minterOf(upstream: string, server: Upstream, minted: MintedConfig, stores: MintParts): Minter {
    const scope = [upstream, ...namesOf(server), JSON.stringify(minted)];
    if (minted.kind === "crossApp") return crossAppMinterOf(upstream, server, minted, scope, stores);
    return minterFor(upstream, server, kindOf(minted, deps), scope, stores.ended, stores);
  }

  function minterFor(
    upstream: string,
    server: Upstream,
    kind: MintKind,
    scope: readonly string[],
    ended: SessionEnds,
    { flows, own }: MintStores,
  ): Minter {
    const breaker = createBreaker({ ...deps, upstream, metrics: metrics.tokens });
    const announced = (version: string) => ({ session: sharedIdOf(version), upstream, version });
    const { ofSessions } = kind;
    return createMinter({
      ...{ ...deps, upstream, kind, scope, ended },
      call: callFor(upstream, server, kind, breaker),
      shared: sharedFor(upstream, flows),
      bounds: createRejectionBounds({ flows, scope, ofSessions }),
      ownBounds: createRejectionBounds({ flows: own, scope, ofSessions }),
      announce: (version) => store.announce({ ...announced(version), isRejected: true }),
      config: { ...tokenConfig, lifeMs: server.accessTokenLifeMs ?? defaultLifeMs },
    });
  }

  /** Step 1 is asked of the identity's provider, by our client there, and step 2 of the upstream's own. */
  function crossAppMinterOf(
    upstream: string,
    server: Upstream,
    minted: CrossAppConfig,
    scope: readonly string[],
    stores: MintStores,
  ): Minter {
    const { identity } = minted;
    const provider = config.upstreams[identity];
    if (provider === undefined) throw new BearerswapError("config", `no upstream is named "${identity}"`);
    const parts = { ...deps, ...tokenConfig, config: minted, identities: grants.identities };
    const first = idJag(parts);
    // The gauge of breakers is about refreshes there, whose breaker is another one.
    const breaker = createBreaker({ ...deps, upstream: identity, metrics: { breaker() {} } });
    const shared = sharedFor(upstream, stores.flows);
    const idJags = createIdJags({
      ...{ ...deps, ...tokenConfig, shared, scope: ["id_jag", ...namesOf(provider), ...scope] },
      call: callFor(upstream, provider, first, breaker, deps.log.child({ step: "id_jag" })),
    });
    // The login that a token is for tells by itself whether it was ended.
    const minter = minterFor(upstream, server, crossApp({ ...parts, idJags }), scope, living, stores);
    return createCrossAppMinter({ ...parts, scope, minter, heard: (change) => shared.heard(change.session) });
  }

  function callFor(upstream: string, server: Upstream, kind: MintKind, breaker: Breaker, log = deps.log) {
    const { timeoutMs } = tokenConfig;
    const { maxConcurrency, clientId = "", minted } = server;
    const fetch = fetchFor(server.ca, server);
    const mint = createTokenMint({ config: { ...server, clientId }, fetch, clock, timeoutMs });
    return createMintCall({
      ...{ ...deps, log, upstream, kind, mint, breaker, maxConcurrency, patienceMs: timeoutMs },
      refusals: createRefusals(clock),
      consentUrl: minted !== undefined && "consentUrl" in minted ? minted.consentUrl : undefined,
      metrics: metrics.mints,
    });
  }

  function sharedFor(upstream: string, flows: FlowStore): SharedTokens {
    return createSharedTokens({
      ...{ ...deps, flows, patienceMs: tokenConfig.timeoutMs / 2 },
      announce: (id) => store.announce({ session: id, upstream, version: "minted" }),
    });
  }
}

/** Who asks whom. */
function namesOf({ issuer = "", tokenEndpoint = issuer, clientId = "", clientAuth, minted }: Upstream): string[] {
  const signed = minted?.kind === "jwtBearer" && minted.assertion !== "session" ? minted.assertion : undefined;
  const signer = signed === undefined ? [] : [keyIdentity(signed.privateKey)];
  return [tokenEndpoint, clientId, clientIdentity(clientAuth), ...signer];
}

/** The store, whose news minters hear as well, before whoever listens. */
export function alsoHeardBy(store: TokenStore, heard: (news: Change | SessionEnd) => void): TokenStore {
  return { ...store, listen: (listener) => store.listen(heardBy(listener, heard)) };
}

function heardBy(listener: ChangeListener, heard: (news: Change | SessionEnd) => void): ChangeListener {
  const changed = (change: Change) => {
    heard(change);
    listener.changed(change);
  };
  const ended = (end: SessionEnd) => {
    heard(end);
    listener.ended(end);
  };
  return { ...listener, changed, ended };
}

function kindOf(
  minted: Exclude<MintedConfig, CrossAppConfig>,
  deps: Pick<ConfiguredTokensDeps, "clock" | "random">,
): MintKind {
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
