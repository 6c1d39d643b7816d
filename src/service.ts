import { configuredAdminServer } from "./admin/admin-server.ts";
import { createCheck } from "./check/check.ts";
import { createDecoder } from "./check/request.ts";
import { createRoutes } from "./check/routes.ts";
import { keepsTokens, needsFlowStores } from "./config/flow-needs.ts";
import type { Config } from "./config/schema.ts";
import { configuredBrowserSessions } from "./connect/configured-browser-sessions.ts";
import { configuredConnect, cookiesOfPages } from "./connect/configured-connect.ts";
import { configuredHeal } from "./heal/configured-heal.ts";
import { configuredLogout } from "./logout/configured-logout.ts";
import { configuredSessionNames } from "./logout/configured-session-names.ts";
import { configuredTokens } from "./minted/configured-tokens.ts";
import type { Clock } from "./platform/clock.ts";
import type { FetchFor } from "./platform/fetch-for.ts";
import type { GuardedFetchFor } from "./platform/guarded-fetch.ts";
import type { Log } from "./platform/log.ts";
import type { Random } from "./platform/random.ts";
import { version } from "./platform/version.ts";
import { createProviders } from "./providers/providers.ts";
import { createCheckServer } from "./server/check-server.ts";
import { reportHooks } from "./server/grpc-hooks.ts";
import type { Listening } from "./server/listen.ts";
import { configuredProbeServer } from "./server/probe-server.ts";
import { createReadiness } from "./server/readiness.ts";
import { createKeySets } from "./sessions/key-sets.ts";
import { createSources, credentialsOf, wantedBy } from "./sessions/sources.ts";
import { shutDown } from "./shutdown.ts";
import { configuredFlowStores, configuredStore } from "./stores/configured-store.ts";
import { createMetrics } from "./telemetry/prometheus.ts";
import { createSecrets } from "./tokens/secrets.ts";

export interface ServiceDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetchFor: FetchFor;
  readonly guardedFetchFor: GuardedFetchFor;
  readonly log: Log;
}

/** The whole process but argv and signals. */
export interface Service {
  /** @throws BearerswapError `address` where it cannot listen */
  start(): Promise<Listening>;
  /** Finishes what runs, stores what arrives, and closes; within `shutdown.timeout`. */
  stop(): Promise<void>;
}

/** Time, chance, the outer net and the log: every part gets them, so that tests can put others in their place. */
type World = Omit<ServiceDeps, "config">;

/**
 * The composition root, and the architecture on one page: what lasts, what a configuration makes of it, and who
 * listens. A line makes one part, of those above it; a `configured…` part may be undefined.
 */
export function createService({ config, ...world }: ServiceDeps): Service {
  const { listen, sessions: sources, check: limits, shutdown } = config;
  const lasting = createLasting(config, world);
  const { metrics, store, flowStores, tokens } = lasting;
  const { check, connect, heal, logout, names } = createDecision(config, world, lasting);

  const server = createCheckServer({ check, process: heal?.process, config: listen, deadlineMs: limits.deadlineMs });
  const readiness = createReadiness({ ...world, store, health: server, metrics: metrics.store });
  const probes = configuredProbeServer({ config: listen, readiness, scrape: metrics.scrape, logout });
  const served = { sources, names, upstreams: config.upstreams, config: listen, metrics: metrics.admin };
  const admin = configuredAdminServer({ ...world, ...lasting, ...served });

  return {
    async start() {
      reportHooks(server.hooks, { log: world.log, metrics: metrics.hooks });
      const listening = { grpc: await server.listen(), http: await probes?.listen(), admin: await admin?.listen() };
      readiness.start();
      return listening;
    },
    stop() {
      const closing = [heal, probes, store, flowStores?.flows];
      const order = { servers: [server, admin], work: [connect, tokens], closing };
      return shutDown({ ...world, ...shutdown, ...order, readiness, unstored: tokens.unstored });
    },
  };
}

/** What lasts as long as the process, providers included: refreshes under way go on with theirs. */
function createLasting(config: Config, world: World) {
  const { listen, sessions, upstreams } = config;
  const issuerNames = sessions.filter(({ kind }) => kind === "jwt").map(({ name }) => name);
  const labels = { version, upstreamNames: Object.keys(upstreams), issuerNames };
  const metrics = createMetrics({ ...labels, ofProcess: listen.http !== undefined });
  const store = configuredStore({ ...world, config: config.store, metrics: metrics.store });
  const flowStores = configuredFlowStores({ ...world, config: config.store, isNeeded: needsFlowStores(config) });
  const [own, records] = [config.connect, flowStores?.flows];
  const providers = createProviders({ ...world, config: upstreams, own, records, metrics: metrics.grants });
  const secrets = createSecrets({ ...world, providers, store, records });
  const tokens = configuredTokens({ ...world, config, store, flowStores, providers, secrets, metrics });
  metrics.sizes.tokens(tokens);
  return { metrics, store, flowStores, providers, secrets, tokens };
}

/**
 * What a configuration makes of it: whose a request is, where it goes, and how it is answered. What is remembered in
 * here can be found out again, so that another configuration can take its place.
 */
function createDecision(config: Config, world: World, lasting: ReturnType<typeof createLasting>) {
  const { metrics, store, flowStores, tokens } = lasting;
  const { sessions: sourceConfigs, cache } = config;
  const pageCookies = cookiesOfPages(config.connect);
  const keys = createKeySets({ ...world, config: sourceConfigs, metrics: metrics.keys });
  const { issuerSessions, ...browsers } = configuredBrowserSessions({ ...world, config, flowStores });
  const names = configuredSessionNames({ ...world, config, store, flowStores });
  const parts = { ...world, ...lasting, config, names };
  const logout = configuredLogout({ ...parts, keys, pages: issuerSessions, metrics: metrics.logouts });
  const told = { keys, onVerified: names?.seen, ownSessions: browsers.ownSessions, keepsTokens: keepsTokens(config) };
  const sessions = createSources({ ...world, ...told, config: sourceConfigs, maxEntries: cache.maxSessions, metrics });
  const routes = createRoutes(config);
  const connect = configuredConnect({ ...parts, ...browsers, sessions, routes, metrics: metrics.grants });
  const decode = createDecoder({ ...wantedBy(sourceConfigs, pageCookies), body: connect?.callOf !== undefined });
  const heal = configuredHeal({ ...parts, connect, metrics: metrics.heal });
  const answers = { credentials: credentialsOf(sourceConfigs, pageCookies), challenge: config.check, connect };
  const checked = { decode, sessions, routes, tokens, prove: heal?.prove };
  const check = createCheck({ ...world, ...checked, ...answers, metrics: metrics.checks });
  return { check, connect, heal, logout, names };
}
