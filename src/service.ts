import { configuredAdminServer } from "./admin/admin-server.ts";
import { createCheck } from "./check/check.ts";
import { createDecoder } from "./check/request.ts";
import { createRoutes } from "./check/routes.ts";
import { needsFlowStores } from "./config/flow-needs.ts";
import type { Config } from "./config/schema.ts";
import { configuredConnect, configuredOwnSessions, cookiesOfPages } from "./connect/configured-connect.ts";
import { configuredLogout } from "./logout/configured-logout.ts";
import type { Address } from "./platform/address.ts";
import type { Clock } from "./platform/clock.ts";
import type { FetchFor } from "./platform/fetch-for.ts";
import type { Log } from "./platform/log.ts";
import type { Random } from "./platform/random.ts";
import { version } from "./platform/version.ts";
import { createProviders } from "./providers/providers.ts";
import { createCheckServer } from "./server/check-server.ts";
import { reportHooks } from "./server/grpc-hooks.ts";
import { configuredProbeServer } from "./server/probe-server.ts";
import { createReadiness } from "./server/readiness.ts";
import { createKeySets } from "./sessions/key-sets.ts";
import { createSources, credentialsOf, wantedBy } from "./sessions/sources.ts";
import { shutDown } from "./shutdown.ts";
import { configuredFlowStores, configuredStore } from "./stores/configured-store.ts";
import { createMetrics } from "./telemetry/prometheus.ts";
import { createTokenManager } from "./tokens/token-manager.ts";

export interface ServiceDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetchFor: FetchFor;
  readonly log: Log;
}

/** Where the service listens, with the ports it got. */
export interface Listening {
  readonly grpc: Address;
  readonly http?: Address | undefined;
  readonly admin?: Address | undefined;
}

/** The whole process but argv and signals. */
export interface Service {
  /** @throws BearerswapError `address` where it cannot listen */
  start(): Promise<Listening>;
  /** Finishes what runs, stores what arrives, and closes; within `shutdown.timeout`. */
  stop(): Promise<void>;
}

/** The composition root, and the architecture on one page: a line a part, each using only lines above it. */
export function createService(deps: ServiceDeps): Service {
  const { listen, sessions: sources, check: limits, shutdown } = deps.config;
  const lasting = createLasting(deps);
  const { log, metrics, store, flowStores, tokens } = lasting;
  const { check, connect, logout } = createDecision(deps.config, lasting);

  const server = createCheckServer({ check, config: listen, deadlineMs: limits.deadlineMs });
  const readiness = createReadiness({ ...lasting, health: server, metrics: metrics.store });
  const { scrape } = metrics;
  const probes = configuredProbeServer({ config: listen, readiness, scrape, logout: logout?.endpoint });
  const onPut = logout?.names.granted;
  const admin = configuredAdminServer({ ...lasting, config: listen, sources, onPut, metrics: metrics.admin });

  return {
    async start() {
      reportHooks(server.hooks, { log, metrics: metrics.hooks });
      const listening = { grpc: await server.listen(), http: await probes?.listen(), admin: await admin?.listen() };
      readiness.start();
      return listening;
    },
    stop() {
      const order = { servers: [server, admin], work: [connect, tokens], closing: [probes, store, flowStores?.flows] };
      return shutDown({ ...lasting, ...shutdown, ...order, readiness, unstored: tokens.unstored });
    },
  };
}

/**
 * What lasts as long as the process: what is counted, kept, held in memory and under way. Providers are here as well,
 * since refreshes under way go on with theirs.
 */
function createLasting({ config, ...world }: ServiceDeps) {
  const { sessions, upstreams, refresh, cache } = config;
  const issuerNames = sessions.filter(({ kind }) => kind === "jwt").map(({ name }) => name);
  const labels = { version, upstreamNames: Object.keys(upstreams), issuerNames };
  const metrics = createMetrics({ ...labels, ofProcess: config.listen.http !== undefined });
  const store = configuredStore({ ...world, config: config.store, metrics: metrics.store });
  const flowStores = configuredFlowStores({ ...world, config: config.store, isNeeded: needsFlowStores(config) });
  const providers = createProviders({ ...world, config: upstreams, metrics: metrics.grants });
  const tokenConfig = { ...refresh, ...cache, cacheEntries: cache.maxSessions };
  const tokens = createTokenManager({ ...world, store, providers, metrics: metrics.tokens, config: tokenConfig });
  metrics.sizes.tokens(tokens);
  return { ...world, metrics, store, flowStores, providers, tokens };
}

/**
 * What a configuration makes of it: whose a request is, where it goes, and how it is answered. What is remembered in
 * here can be found out again, so that another configuration can take its place.
 */
function createDecision(config: Config, { metrics, ...lasting }: ReturnType<typeof createLasting>) {
  const { sessions: sources } = config;
  const ownCookies = cookiesOfPages(config.connect);
  const keys = createKeySets({ ...lasting, config: sources, metrics: metrics.keys });
  const logout = configuredLogout({ ...lasting, config, keys, metrics: metrics.logouts });
  const ownSessions = configuredOwnSessions({ ...lasting, sources });
  const verified = { onVerified: logout?.names.seen, ownSessions, maxEntries: config.cache.maxSessions };
  const sessions = createSources({ ...lasting, ...verified, config: sources, keys, metrics });
  const routes = createRoutes(config);
  const parts = { ...lasting, sessions, routes };
  const connect = configuredConnect({ ...parts, config, ownSessions, metrics: metrics.grants });
  const decode = createDecoder(wantedBy(sources, ownCookies));
  const credentials = credentialsOf(sources, ownCookies);
  const answers = { connect, challenge: config.check, metrics: metrics.checks };
  const check = createCheck({ ...parts, ...answers, decode, credentials });
  return { check, connect, logout };
}
