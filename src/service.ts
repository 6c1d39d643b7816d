import { configuredAdminServer } from "./admin/admin-server.ts";
import { needsFlowStores } from "./config/flow-needs.ts";
import { assertReloadable } from "./config/restart.ts";
import type { Config } from "./config/schema.ts";
import { createDecision, type Decision, type World } from "./decision.ts";
import type { SessionNames } from "./logout/session-names.ts";
import { alsoHeardBy, tokenConfigOf } from "./minted/configured-tokens.ts";
import { type KeptParts, keepParts } from "./platform/kept-parts.ts";
import type { TracingConfig } from "./platform/tracing-config.ts";
import { version } from "./platform/version.ts";
import { createReload, createRetired, type Reload } from "./reload.ts";
import { createCheckServer } from "./server/check-server.ts";
import { reportHooks } from "./server/grpc-hooks.ts";
import type { Listening } from "./server/listen.ts";
import { configuredProbeServer } from "./server/probe-server.ts";
import { createReadiness } from "./server/readiness.ts";
import { shutDown } from "./shutdown.ts";
import { configuredFlowStores, configuredStore, type FlowStores } from "./stores/configured-store.ts";
import { createStoreSecrets } from "./stores/store-secrets.ts";
import { loadTracing } from "./telemetry/load-tracing.ts";
import { createMetrics } from "./telemetry/prometheus.ts";
import type { CreateTracing } from "./telemetry/tracing.ts";
import { createSecrets } from "./tokens/secrets.ts";
import { createTokenManager } from "./tokens/token-manager.ts";

/** `tracing`: absent where nothing is traced. */
export type ServiceDeps = World & { readonly config: Config; readonly tracing?: TracingConfig | undefined };

/** The whole process but argv and signals. */
export interface Service {
  /** @throws BearerswapError `address` where it cannot listen */
  start(): Promise<Listening>;
  /** Says what would become of a request, without any effect; also of a service that was not started. */
  explain: Decision["explain"];
  reload: Reload;
  /** Finishes what runs, stores what arrives, and closes; within `shutdown.timeout`. */
  stop(): Promise<void>;
}

/**
 * The composition root, and the architecture on one page: what lasts, the decision that the configuration in force makes
 * of it (decision.ts), and who listens. Listeners ask the current decision; a request that is under way finishes with
 * the one that it began with.
 */
export async function createService({ config: first, tracing: traced, ...outer }: ServiceDeps): Promise<Service> {
  const { world, ...lasting } = createLasting(first, outer, await loadTracing(traced), () => current);
  const { metrics, tracing, files, store, secrets, grants, flowStoresFor } = lasting;
  const retired = createRetired(world.clock);
  let parts: KeptParts = new Map();
  let current: Decision;
  put(decisionOf(first));

  const check: Decision["check"] = (bytes, waitMs, traceparent) => current.check(bytes, waitMs, traceparent);
  const perCall = { process: () => current.heal?.process(), deadlineMs: () => current.config.check.deadlineMs };
  const server = createCheckServer({ check, ...perCall, config: first.listen });
  const readiness = createReadiness({ ...world, store, health: server, metrics: metrics.store });
  const asked = { readiness, scrape: metrics.scrape, logout: () => current.logout };
  const probes = configuredProbeServer({ ...asked, config: first.listen });
  const explain: Decision["explain"] = (request) => current.explain(request);
  const grantsCalls = { grants: () => current.handlers, explain, metrics: metrics.admin };
  const admin = configuredAdminServer({ ...world, ...grantsCalls, config: first.listen });
  metrics.sizes.tokens({ held: (upstream) => current.tokens.held(upstream), failing: grants.failing });
  metrics.config.inForce(world.clock.wallMs());

  return {
    async start() {
      reportHooks(server.hooks, { log: world.log, metrics: metrics.hooks });
      const listening = { grpc: await server.listen(), http: await probes?.listen(), admin: await admin?.listen() };
      readiness.start();
      return listening;
    },
    explain,
    reload: createReload({ ...world, inForce: () => current.config, take, metrics: metrics.config }),
    stop() {
      const { config, connect, tokens, heal } = current;
      const closing = [heal, probes, store, flowStoresFor(config)?.flows];
      const order = { servers: [server, admin], work: [connect, tokens, retired], closing };
      return shutDown({
        ...world,
        ...config.shutdown,
        ...order,
        readiness,
        unstored: grants.unstored,
        traces: tracing,
      });
    },
  };

  /** Puts another configuration in force. All that can fail is done before anything is changed. */
  function take(next: Config): void {
    assertReloadable(current.config, next);
    const ready = [files.prepare(next.store), server.prepare(next.listen), admin?.prepare(next.listen)];
    const made = decisionOf(next);
    for (const apply of ready) apply?.();
    retired.add(current.connect, current.tokens);
    if (made.decision.heal === undefined) void current.heal?.close();
    put(made);
  }

  function decisionOf(config: Config): { readonly decision: Decision; readonly parts: KeptParts } {
    const kept = keepParts(parts);
    const onVerified: SessionNames["seen"] = async (...told) => (await current.names?.seen(...told)) ?? true;
    const given = { metrics, tracing, store, secrets, grants, flowStores: flowStoresFor(config) };
    return { decision: createDecision({ ...world, ...given, ...kept, config, onVerified }), parts: kept.parts };
  }

  function put(made: ReturnType<typeof decisionOf>): void {
    const { config, providers, sizes, heal } = made.decision;
    metrics.add(namesIn(config));
    metrics.sizes.sessions(sizes);
    grants.adopt({ providers, config: tokenConfigOf(config) });
    heal?.start();
    ({ decision: current, parts } = made);
  }
}

/** What lasts as long as the process: refreshes under way, and what this process has written. */
function createLasting(config: Config, outer: World, trace: CreateTracing | undefined, current: () => Decision) {
  const counted = createMetrics({ ...namesIn(config), version, ofProcess: config.listen.http !== undefined });
  const tracing = trace?.({ log: outer.log, metrics: counted.traces });
  const metrics = tracing?.outcomes(counted) ?? counted;
  const world = tracing === undefined ? outer : { ...outer, ...tracing.fetches(outer) };
  const files = createStoreSecrets(config.store);
  const store = configuredStore({ ...world, ...files, tracing, metrics: metrics.store });
  let flowStores: FlowStores | undefined; // made when a configuration needs them first
  const flowStoresFor = (next: Config) =>
    (flowStores ??= configuredFlowStores({ ...world, ...files, tracing, store, isNeeded: needsFlowStores(next) }));
  const asked = { providers: () => current().providers, records: () => flowStores?.flows };
  const secrets = createSecrets({ ...world, ...asked, store });
  const heard = alsoHeardBy(store, (change) => current().tokens.heard(change));
  const given = { secrets, tracing, providers: new Map(), metrics: metrics.tokens, config: tokenConfigOf(config) };
  const grants = createTokenManager({ ...world, ...given, store: heard });
  return { world, metrics, tracing, files, store, secrets, grants, flowStoresFor };
}

function namesIn({ upstreams, sessions }: Config) {
  const issuerNames = sessions.filter(({ kind }) => kind === "jwt").map(({ name }) => name);
  return { upstreamNames: Object.keys(upstreams), issuerNames };
}
