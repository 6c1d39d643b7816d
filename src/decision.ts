import { createGrantsHandlers } from "./admin/grants-service.ts";
import { createCheck } from "./check/check.ts";
import { createDecoder } from "./check/request.ts";
import { createRoutes } from "./check/routes.ts";
import { keepsTokens } from "./config/flow-needs.ts";
import type { Config } from "./config/schema.ts";
import { configuredBrowserSessions } from "./connect/configured-browser-sessions.ts";
import { configuredConnect, cookiesOfPages } from "./connect/configured-connect.ts";
import { createExplain } from "./explain/explain.ts";
import { configuredHeal } from "./heal/configured-heal.ts";
import { configuredLogout } from "./logout/configured-logout.ts";
import { configuredSessionNames } from "./logout/configured-session-names.ts";
import type { SessionNames } from "./logout/session-names.ts";
import { configuredTokens } from "./minted/configured-tokens.ts";
import type { Clock } from "./platform/clock.ts";
import type { FetchFor } from "./platform/fetch-for.ts";
import type { GuardedFetchFor } from "./platform/guarded-fetch.ts";
import type { Keep } from "./platform/kept-parts.ts";
import type { Log } from "./platform/log.ts";
import type { Random } from "./platform/random.ts";
import { createProviders } from "./providers/providers.ts";
import { createKeySets } from "./sessions/key-sets.ts";
import { createSources, credentialsOf, wantedBy } from "./sessions/sources.ts";
import type { FlowStores } from "./stores/configured-store.ts";
import type { TokenStore } from "./stores/token-store.ts";
import type { Metrics } from "./telemetry/prometheus.ts";
import type { Tracing } from "./telemetry/tracing.ts";
import type { Secrets } from "./tokens/secrets.ts";
import type { TokenManager } from "./tokens/token-manager.ts";

/** Time, chance, the outer net and the log: every part gets them, so that tests can put others in their place. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly fetchFor: FetchFor;
  readonly guardedFetchFor: GuardedFetchFor;
  readonly log: Log;
}

interface DecisionDeps extends World {
  readonly config: Config;
  readonly metrics: Metrics;
  /** Absent where nothing is traced. */
  readonly tracing: Tracing | undefined;
  readonly store: TokenStore;
  readonly flowStores: FlowStores | undefined;
  /** The tokens of grants. */
  readonly grants: TokenManager;
  /** What grants need that are secrets. */
  readonly secrets: Secrets;
  /** Takes over the parts whose own configuration has not changed. */
  readonly keep: Keep;
  /** Told of each verified session, with the names that are in force then: a source may outlive its configuration. */
  readonly onVerified: SessionNames["seen"];
}

export type Decision = ReturnType<typeof createDecision>;

/**
 * What a configuration makes of it: whose a request is, where it goes, where its token is from, and how it is answered.
 * What is remembered in here can be found out again, so that another configuration can take its place. A line makes one
 * part, of those above it; a `configured…` part may be undefined. Nothing is changed outside of here.
 */
export function createDecision(deps: DecisionDeps) {
  const { config, metrics, flowStores, onVerified, tracing } = deps;
  const { sessions: sources, upstreams, cache } = config;
  const pageCookies = cookiesOfPages(config.connect);
  const [own, records] = [config.connect, flowStores?.flows];
  const providers = createProviders({ ...deps, config: upstreams, own, records, metrics: metrics.grants });
  const tokens = configuredTokens(deps);
  const keys = createKeySets({ ...deps, config: sources, metrics: metrics.keys });
  const { issuerSessions, ...browsers } = configuredBrowserSessions(deps);
  const names = configuredSessionNames(deps);
  const parts = { ...deps, providers, tokens, names };
  const logout = configuredLogout({ ...parts, keys, pages: issuerSessions, metrics: metrics.logouts });
  const told = { keys, onVerified, ownSessions: browsers.ownSessions, keepsTokens: keepsTokens(config) };
  const sessions = createSources({ ...deps, ...told, config: sources, maxEntries: cache.maxSessions });
  const configured = createRoutes(config);
  const routes = tracing?.routes(configured) ?? configured;
  const connect = configuredConnect({ ...parts, ...browsers, sessions, routes, metrics: metrics.grants });
  const decode = createDecoder({ ...wantedBy(sources, pageCookies), body: connect?.callOf !== undefined });
  const heal = configuredHeal({ ...parts, connect, metrics: metrics.heal });
  const answers = { credentials: credentialsOf(sources, pageCookies), challenge: config.check, connect };
  const checked = { decode, sessions, routes, tokens, prove: heal?.prove };
  const decide = createCheck({ ...deps, ...checked, ...answers, metrics: metrics.checks });
  const check = tracing?.check(decide) ?? decide;
  const handlers = createGrantsHandlers({ ...parts, sources, upstreams });
  const explain = createExplain({ ...parts, ...checked, ...told, ...answers });
  const looked = { sizes: sessions.sizes, explain };
  return { config, providers, tokens, names, logout, connect, heal, check, handlers, ...looked };
}
