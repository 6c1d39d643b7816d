import { createAdminServer } from "./admin/grants-service.ts";
import { createCheck } from "./check/check.ts";
import { createDecoder } from "./check/request.ts";
import { createSources, credentialsOf, wantedBy } from "./check/sources.ts";
import { createUpstreams } from "./check/upstreams.ts";
import type { Clock } from "./clock.ts";
import type { Address } from "./config/address.ts";
import type { Config } from "./config/schema.ts";
import { isLoopback } from "./config/units.ts";
import type { UpstreamConfig } from "./config/upstreams-schema.ts";
import { createProbeServer } from "./http.ts";
import { createOAuthProvider } from "./providers/oauth-provider.ts";
import type { Random } from "./random.ts";
import { createReadiness } from "./readiness.ts";
import { createCheckServer, drain } from "./server.ts";
import { createMemoryStore } from "./stores/memory-store.ts";
import { createRedisStore } from "./stores/redis-store.ts";
import type { Log } from "./telemetry/log.ts";
import { addProcessMetrics, createMetrics } from "./telemetry/prometheus.ts";
import { withDeadline } from "./tokens/deadline.ts";
import { shortHash } from "./tokens/grant.ts";
import { createTokenManager } from "./tokens/token-manager.ts";
import { version } from "./version.ts";

export interface ServiceDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: typeof globalThis.fetch;
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
export function createService({ config, clock, random, fetch, log }: ServiceDeps): Service {
  const { listen, sessions, upstreams } = config;
  const issuers = sessions.filter(({ kind }) => kind === "jwt").map(({ name }) => name);
  const metrics = createMetrics({ version, upstreams: Object.keys(upstreams), issuers });
  if (listen.http) addProcessMetrics(metrics);
  const store =
    config.store.kind === "redis"
      ? createRedisStore({ config: config.store, clock, random, log, metrics: metrics.store })
      : createMemoryStore({ clock, maxGrants: config.store.maxGrants });
  const providers = new Map(
    Object.entries(upstreams).map(([name, upstream]) => [name, createOAuthProvider({ config: providerConfig(upstream), fetch, clock })]),
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
  for (const upstream of providers.keys()) metrics.sizes.tokens(upstream, () => tokens.held(upstream));
  const check = createCheck({
    decode: createDecoder(wantedBy(sessions)),
    sessions: createSources({ config: sessions, maxEntries: config.cache.maxSessions, fetch, clock, log, metrics }),
    upstreams: createUpstreams(
      Object.entries(upstreams).map(([name, { inject }]) => ({ name, inject })),
      config.routes,
    ),
    tokens,
    credentials: credentialsOf(sessions),
    challenge: config.check,
    clock,
    log,
    metrics: metrics.checks,
  });
  const server = createCheckServer({ check, config: listen, deadlineMs: config.check.deadlineMs });
  const onStoreUp = (up: boolean) => {
    server.setStoreUp(up);
    metrics.store.up(up);
  };
  const readiness = createReadiness({ store, clock, log, onServing: server.setServing, onStoreUp });
  const probes = listen.http && createProbeServer({ address: listen.http, readiness, scrape: metrics.scrape });
  const sources = sessions.map(({ name }) => name);
  const adminDeps = { store, tokens, sources, upstreams: providers, clock, random, log, metrics: metrics.admin };
  const admin = listen.admin && createAdminServer(adminDeps, { ...listen, admin: listen.admin });

  return {
    async start() {
      const listening = { grpc: await server.listen(), http: await probes?.listen(), admin: await admin?.listen() };
      readiness.start();
      return listening;
    },

    async stop() {
      const until = clock.monotonicMs() + config.shutdown.timeoutMs;
      const left = () => Math.max(until - clock.monotonicMs(), 0);
      readiness.drain();
      await Promise.all([server.drain(left()), admin && drain(admin.server, left())]);
      const stored = await withDeadline(
        clock,
        tokens.settled().then(() => true),
        left(),
        () => false,
      );
      if (!stored) log.error({ event: "shutdown" }, "refreshes were still under way at shutdown.timeout; what their providers answer is lost");
      for (const { upstream, session } of tokens.unstored())
        log.error(
          { event: "commit_lost", upstream, session: shortHash(session) },
          "new tokens could not be stored before shutdown.timeout; this session may have to log in again",
        );
      await probes?.close();
      await store.close();
    },
  };
}

function providerConfig(upstream: UpstreamConfig) {
  const endpoint = URL.parse(upstream.tokenEndpoint ?? upstream.issuer ?? "");
  return { ...upstream, allowInsecure: upstream.allowInsecure || isLoopback(endpoint?.hostname ?? "") };
}
