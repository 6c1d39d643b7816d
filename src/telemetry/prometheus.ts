import { collectDefaultMetrics, Registry } from "prom-client";
import type { AdminMetrics } from "../admin/metrics.ts";
import type { CheckMetrics } from "../check/metrics.ts";
import type { HealMetrics } from "../heal/metrics.ts";
import type { LogoutMetrics } from "../logout/metrics.ts";
import type { MintMetrics } from "../minted/metrics.ts";
import type { HookMetrics } from "../server/grpc-hooks.ts";
import type { Scrape } from "../server/scrape.ts";
import type { KeyMetrics } from "../sessions/metrics.ts";
import type { StoreMetrics } from "../stores/metrics.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import { createCheckMetrics } from "./check-metrics.ts";
import { createConfigMetrics } from "./config-metrics.ts";
import { createGrantMetrics } from "./grant-metrics.ts";
import { createHealMetrics } from "./heal-metrics.ts";
import type { ConfigMetrics, GrantMetrics, SizeMetrics } from "./metrics.ts";
import { createMintMetrics } from "./mint-metrics.ts";
import { createNames, type Names } from "./names.ts";
import { createAskedGauge, createCells } from "./series.ts";
import { createStoreMetrics } from "./store-metrics.ts";
import { createTokenMetrics } from "./token-metrics.ts";
import { createTraceMetrics, type TraceMetrics } from "./trace-metrics.ts";

export interface MetricsOptions {
  readonly version: string;
  /**
   * The names of the upstreams, and of the session sources that verify with an issuer's keys. Together with words of
   * the code itself they are all the labels that there are.
   */
  readonly upstreamNames: Iterable<string>;
  readonly issuerNames: Iterable<string>;
  /** Whether prom-client's figures of the process are kept too. They are kept for as long as it lives. */
  readonly ofProcess: boolean;
}

/** Everything that is counted, and its registry. */
export interface Metrics {
  readonly checks: CheckMetrics;
  readonly tokens: TokenMetrics;
  readonly mints: MintMetrics;
  readonly store: StoreMetrics & { up(up: boolean): void };
  readonly keys: KeyMetrics;
  readonly sizes: SizeMetrics;
  readonly admin: AdminMetrics;
  readonly logouts: LogoutMetrics;
  readonly grants: GrantMetrics;
  readonly heal: HealMetrics;
  readonly hooks: HookMetrics;
  readonly config: ConfigMetrics;
  readonly traces: TraceMetrics;
  /** Makes the series of what another configuration names. */
  add(names: Pick<MetricsOptions, "upstreamNames" | "issuerNames">): void;
  readonly registry: Registry;
  readonly scrape: Scrape;
}

/**
 * Metrics in a registry of their own, so that a process can hold several services. No label ever holds what a client
 * sent.
 */
export function createMetrics({ version, upstreamNames, issuerNames, ofProcess }: MetricsOptions): Metrics {
  const registry = new Registry();
  const [upstreams, issuers] = [createNames(upstreamNames), createNames(issuerNames)];
  createCells(registry, "gauge", {
    name: "bearerswap_build_info",
    help: "Always 1; version: the version that runs.",
    labels: ["version"],
  }).of(version).value = 1;
  const metrics: Metrics = {
    checks: createCheckMetrics(registry, upstreams),
    tokens: createTokenMetrics(registry, upstreams),
    mints: createMintMetrics(registry, upstreams),
    store: createStoreMetrics(registry),
    keys: createKeyMetrics(registry, issuers),
    sizes: createSizeMetrics(registry, upstreams),
    admin: createAdminMetrics(registry),
    logouts: createLogoutMetrics(registry),
    grants: createGrantMetrics(registry, upstreams),
    heal: createHealMetrics(registry, upstreams),
    hooks: createHookMetrics(registry),
    config: createConfigMetrics(registry),
    traces: createTraceMetrics(registry),
    add(names) {
      upstreams.add(names.upstreamNames);
      issuers.add(names.issuerNames);
    },
    registry,
    scrape: { contentType: registry.contentType, text: shared(() => registry.metrics()) },
  };
  if (ofProcess) collectDefaultMetrics({ register: registry });
  return metrics;
}

/**
 * Runs once for all who ask while it runs: a connection can ask a thousand times in one packet, and each text takes
 * tens of kilobytes.
 */
function shared<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  };
}

function createKeyMetrics(registry: Registry, issuers: Names): KeyMetrics {
  const fetches = createCells(registry, "counter", {
    name: "bearerswap_jwks_fetches_total",
    help: "Requests for the keys, or the metadata, of a session source's issuer. result: ok for a 2xx answer, else failed.",
    labels: ["source", "result"],
  });
  issuers.each((source) => {
    for (const result of ["ok", "failed"]) fetches.of(source, result);
  });
  return {
    fetched(source, ok) {
      fetches.of(source, ok ? "ok" : "failed").value += 1;
    },
  };
}

function createSizeMetrics(registry: Registry, upstreams: Names): SizeMetrics {
  const help = "cache.maxSessions at most.";
  const tokens = createAskedGauge(registry, {
    name: "bearerswap_token_cache_entries",
    help: `Access tokens held in this process; ${help}`,
    labels: ["upstream"],
  });
  const sessions = createAskedGauge(registry, {
    name: "bearerswap_session_cache_entries",
    help: `Verified JWTs, and sessions of our own, remembered in this process; ${help} source: the first of those that read the place.`,
    labels: ["source"],
  });
  const failing = createAskedGauge(registry, {
    name: "bearerswap_failing_grants",
    help: "Grants whose refreshes have been failing for an hour or more, without the provider having refused one in words that we know. Those that this process was asked for in the last quarter of an hour, 10000 at most.",
    labels: ["upstream"],
  });
  const sources = new Set<string>();
  return {
    tokens(manager) {
      upstreams.each((upstream) => {
        tokens.ask([upstream], () => manager.held(upstream));
        failing.ask([upstream], () => manager.failing(upstream));
      });
    },
    sessions(sizes) {
      for (const source of sizes.keys()) sources.add(source);
      for (const source of sources) sessions.ask([source], sizes.get(source) ?? (() => 0));
    },
  };
}

function createHookMetrics(registry: Registry): HookMetrics {
  const active = createCells(registry, "gauge", {
    name: "bearerswap_grpc_hook_active",
    help: "1 where the installed @grpc/grpc-js takes what is done to it from inside, 0 where it lacks the place for it. hook: reset_limits; direct_answers, unless allowedSans rules it out.",
    labels: ["hook"],
  });
  return {
    hook(hook, isActive) {
      active.of(hook).value = isActive ? 1 : 0;
    },
  };
}

function createAdminMetrics(registry: Registry): AdminMetrics {
  const calls = createCells(registry, "counter", {
    name: "bearerswap_admin_calls_total",
    help: "Calls of the grants service. code: the gRPC status.",
    labels: ["method", "code"],
  });
  for (const method of ["put", "get", "list", "refresh", "revoke"]) calls.of(method, "OK");
  return {
    called(method, code) {
      calls.of(method, code).value += 1;
    },
  };
}

function createLogoutMetrics(registry: Registry): LogoutMetrics {
  const logouts = createCells(registry, "counter", {
    name: "bearerswap_backchannel_logouts_total",
    help: "Logout tokens that issuers sent. outcome: done, invalid where the token was refused, unavailable where it has to be sent again.",
    labels: ["outcome"],
  });
  for (const outcome of ["done", "invalid", "unavailable"]) logouts.of(outcome);
  return {
    ended(outcome) {
      logouts.of(outcome).value += 1;
    },
  };
}
