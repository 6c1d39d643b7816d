import { createAdminServer } from "./admin/grants-service.ts";
import { createCheck } from "./check/check.ts";
import { createDecoder } from "./check/request.ts";
import { createUpstreams } from "./check/routes.ts";
import type { Config } from "./config/schema.ts";
import { browserCookie } from "./connect/browser.ts";
import { connectHeaders, createConnect } from "./connect/connect.ts";
import type { LoginSource } from "./connect/context.ts";
import { createSessionIssuer } from "./connect/issued-sessions.ts";
import { loginCookiePrefix } from "./connect/login-cookies.ts";
import { createBackchannelLogout } from "./logout/backchannel-logout.ts";
import { createLogoutEndpoint } from "./logout/logout-endpoint.ts";
import { createSessionNames, isLogoutSource } from "./logout/session-names.ts";
import type { Address } from "./platform/address.ts";
import type { Clock } from "./platform/clock.ts";
import { deadlineIn } from "./platform/deadline.ts";
import type { Log } from "./platform/log.ts";
import type { Random } from "./platform/random.ts";
import type { FetchFor, TrustingFetch } from "./platform/trusting-fetch.ts";
import { version } from "./platform/version.ts";
import type { RevocationEnding } from "./providers/metrics.ts";
import { createOAuthProvider } from "./providers/oauth-provider.ts";
import { createCheckServer } from "./server/check-server.ts";
import { reportHooks } from "./server/grpc-hooks.ts";
import { createProbeServer } from "./server/probe-server.ts";
import { createReadiness } from "./server/readiness.ts";
import { createKeySets } from "./sessions/key-sets.ts";
import { createSources, credentialsOf, wantedBy } from "./sessions/sources.ts";
import type { FlowStore } from "./stores/flow-store.ts";
import { shortHash } from "./stores/grant.ts";
import { createMemoryFlowStore } from "./stores/memory-flow-store.ts";
import { createMemorySessionIndex } from "./stores/memory-session-index.ts";
import { createMemoryStore } from "./stores/memory-store.ts";
import { connectRedis } from "./stores/redis-connection.ts";
import { createRedisFlowStore } from "./stores/redis-flow-store.ts";
import { createRedisSessionIndex } from "./stores/redis-session-index.ts";
import { createRedisStore } from "./stores/redis-store.ts";
import { createSealer } from "./stores/sealing.ts";
import type { SessionIndex } from "./stores/session-index.ts";
import { addProcessMetrics, createMetrics } from "./telemetry/prometheus.ts";
import { createTokenManager } from "./tokens/token-manager.ts";

export interface ServiceDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: typeof globalThis.fetch;
  /** In its place for upstreams and sources with an authority of their own (`ca`). */
  readonly fetchTrusting: TrustingFetch;
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

/** The composition root: each line uses only lines above it. */
export function createService({ config, clock, random, fetch, fetchTrusting, log }: ServiceDeps): Service {
  const fetchFor: FetchFor = (ca) => (ca === undefined ? fetch : fetchTrusting(ca));
  const { listen, sessions, upstreams } = config;
  const issuers = sessions.filter(({ kind }) => kind === "jwt").map(({ name }) => name);
  const metrics = createMetrics({ version, upstreams: Object.keys(upstreams), issuers });
  if (listen.http) addProcessMetrics(metrics);
  const store =
    config.store.kind === "redis"
      ? createRedisStore({ config: config.store, clock, random, log, metrics: metrics.store })
      : createMemoryStore({ clock, maxGrants: config.store.maxGrants });
  const providers = new Map(
    Object.entries(upstreams).map(([name, upstream]) => {
      const onRevocation = (ending: RevocationEnding) => metrics.grants.revocation(name, ending);
      return [name, createOAuthProvider({ config: upstream, fetch: fetchFor(upstream.ca), clock, onRevocation })];
    }),
  );
  const tokens = createTokenManager({
    store,
    providers,
    clock,
    random,
    log,
    metrics: metrics.tokens,
    config: { ...config.refresh, ...config.cache, cacheEntries: config.cache.maxSessions },
  });
  for (const upstream of providers.keys()) {
    metrics.sizes.tokens(upstream, () => tokens.held(upstream));
    metrics.sizes.failing(upstream, () => tokens.failing(upstream));
  }
  const logoutSources = sessions.filter(isLogoutSource);
  const { flows, index } =
    config.connect || logoutSources.length > 0 ? flowStoresOf(config.store, { clock, random, log }) : {};
  const grantLifeMs = Math.max(0, ...[...providers.values()].map(({ refreshTokenLifeMs }) => refreshTokenLifeMs));
  const names =
    logoutSources.length > 0 && index
      ? createSessionNames({ sources: logoutSources, index, grantLifeMs, clock, log })
      : undefined;
  const keys = createKeySets({ config: sessions, fetchFor, clock, log, metrics: metrics.keys });
  const cookieSource = sessions.find((source) => source.kind === "cookie");
  const issuer = flows && cookieSource && createSessionIssuer(cookieSource, { flows, random });
  const identify = createSources({
    config: sessions,
    maxEntries: config.cache.maxSessions,
    clock,
    keys,
    onVerified: names?.seen,
    issued: issuer,
    metrics,
  });
  const routing = createUpstreams(
    Object.entries(upstreams).map(([name, { inject }]) => ({ name, inject })),
    config.routes,
    config,
  );
  const ownCookies = config.connect === undefined ? [] : [browserCookie];
  const wanted = wantedBy(sessions, ownCookies);
  const connect =
    config.connect &&
    flows &&
    createConnect({
      config: config.connect,
      sources: sessions,
      sessions: identify,
      upstreams: routing,
      decode: createDecoder({ ...wanted, headers: [...wanted.headers, ...connectHeaders], body: true }),
      sourcesByName: loginSources(config, { fetchFor, clock }),
      titleOf: (upstream) => upstreams[upstream]?.displayName ?? upstream,
      ...{ issuer, providers, tokens, store, flows, clock, random, log, metrics: metrics.grants },
    });
  const check = createCheck({
    decode: createDecoder(wanted),
    sessions: identify,
    upstreams: routing,
    tokens,
    credentials: {
      ...credentialsOf(sessions, ownCookies),
      cookiePrefixes: config.connect === undefined ? [] : [loginCookiePrefix],
    },
    challenge: config.check,
    connect,
    clock,
    log,
    metrics: metrics.checks,
  });
  const server = createCheckServer({ check, config: listen, deadlineMs: config.check.deadlineMs });
  for (const [hook, isActive] of server.hooks) metrics.hook(hook, isActive);
  const onStoreUp = (up: boolean) => {
    server.setStoreUp(up);
    metrics.store.up(up);
  };
  const readiness = createReadiness({ store, clock, log, onServing: server.setServing, onStoreUp });
  const logoutDeps = {
    sources: logoutSources,
    keys,
    store,
    tokens,
    upstreams: Object.keys(upstreams),
    clock,
    log,
    metrics: metrics.logouts,
  };
  const logout = names && flows && createLogoutEndpoint(createBackchannelLogout({ ...logoutDeps, names, flows }));
  const probes = listen.http && createProbeServer({ address: listen.http, readiness, scrape: metrics.scrape, logout });
  const boundSources = new Set(
    sessions.filter((source) => "subject" in source && source.subject !== undefined).map(({ name }) => name),
  );
  const adminDeps = {
    ...{ store, tokens, sources: sessions, boundSources, upstreams: providers, onPut: names?.granted },
    ...{ clock, random, log, metrics: metrics.admin },
  };
  const admin = listen.admin && createAdminServer(adminDeps, { ...listen, admin: listen.admin });

  return {
    async start() {
      reportHooks(server.hooks, log);
      const listening = { grpc: await server.listen(), http: await probes?.listen(), admin: await admin?.listen() };
      readiness.start();
      return listening;
    },

    async stop() {
      const deadline = deadlineIn(clock, config.shutdown.timeoutMs);
      readiness.drain();
      await Promise.all([server.drain(deadline.leftMs()), admin?.drain(deadline.leftMs())]);
      const stored = await deadline.before(
        Promise.all([connect?.settled(), tokens.settled()]).then(() => true),
        () => false,
      );
      if (!stored)
        log.error(
          { event: "shutdown" },
          "refreshes were still under way at shutdown.timeout; what their providers answer is lost",
        );
      for (const { upstream, session } of tokens.unstored())
        log.error(
          { event: "commit_lost", upstream, session: shortHash(session) },
          "new tokens could not be stored before shutdown.timeout; this session may have to log in again",
        );
      await probes?.close();
      await Promise.all([store.close(), flows?.close()]);
    },
  };
}

/** Beside the grants' store, on a connection of its own: what it holds is of another kind, and few need it. */
function flowStoresOf(
  config: Config["store"],
  { clock, random, log }: Pick<ServiceDeps, "clock" | "random" | "log">,
): { readonly flows: FlowStore; readonly index: SessionIndex } {
  if (config.kind === "memory") {
    const { maxGrants } = config;
    return {
      flows: createMemoryFlowStore({ clock, maxRecords: maxGrants }),
      index: createMemorySessionIndex({ clock, maxEntries: 2 * maxGrants }),
    };
  }
  const { keyPrefix, encryption } = config;
  const redis = connectRedis({ config, clock, random, log });
  return {
    flows: createRedisFlowStore({ redis, keyPrefix, sealer: encryption && createSealer(encryption) }),
    index: createRedisSessionIndex({ redis, keyPrefix }),
  };
}

/** Our clients at the issuers of sessions that never come to a browser. */
function loginSources(
  { connect, sessions }: Config,
  { fetchFor, clock }: { fetchFor: FetchFor; clock: Clock },
): ReadonlyMap<string, LoginSource> {
  const found = new Map<string, LoginSource>();
  for (const source of sessions) {
    const client = source.kind === "jwt" ? connect?.login[source.name] : undefined;
    if (source.kind !== "jwt" || client === undefined) continue;
    const { clientId, clientSecret: secret, scope } = client;
    const provider = createOAuthProvider({
      config: {
        issuer: source.issuer,
        clientId,
        clientAuth: secret === undefined ? { method: "none" } : { method: "client_secret_basic", secret },
        connect: { scope, parameters: {} },
        allowInsecure: source.allowInsecure,
        // Nothing is refreshed there: who logs in is all that is asked.
        ...{ parameters: [], refreshTokenLifeMs: 0, killsOldAccess: false, maxConcurrency: 1 },
      },
      fetch: fetchFor(source.ca),
      clock,
    });
    if (provider.login !== undefined) found.set(source.name, { issuer: source.issuer, login: provider.login });
  }
  return found;
}
