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
import { createGrantMetrics } from "./grant-metrics.ts";
import { createHealMetrics } from "./heal-metrics.ts";
import type { GrantMetrics, SizeMetrics } from "./metrics.ts";
import { createMintMetrics } from "./mint-metrics.ts";
import { createAskedGauge, createCells } from "./series.ts";
import { createStoreMetrics } from "./store-metrics.ts";
import { createTokenMetrics } from "./token-metrics.ts";

export interface MetricsOptions {
  readonly version: string;
  /**
   * The names of the upstreams, and of the session sources that verify with an issuer's keys. Together with words of
   * the code itself they are all the labels that there are.
   */
  readonly upstreamNames: readonly string[];
  readonly issuerNames: readonly string[];
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
  readonly registry: Registry;
  readonly scrape: Scrape;
}

/**
 * Metrics in a registry of their own, so that a process can hold several services. No label ever holds what a client
 * sent.
 */
export function createMetrics({ version, upstreamNames, issuerNames, ofProcess }: MetricsOptions): Metrics {
  const registry = new Registry();
  createCells(registry, "gauge", {
    name: "bearerswap_build_info",
    help: "Always 1; version: the version that runs.",
    labels: ["version"],
  }).of(version).value = 1;
  const metrics: Metrics = {
    checks: createCheckMetrics(registry, upstreamNames),
    tokens: createTokenMetrics(registry, upstreamNames),
    mints: createMintMetrics(registry, upstreamNames),
    store: createStoreMetrics(registry),
    keys: createKeyMetrics(registry, issuerNames),
    sizes: createSizeMetrics(registry, upstreamNames),
    admin: createAdminMetrics(registry),
    logouts: createLogoutMetrics(registry),
    grants: createGrantMetrics(registry, upstreamNames),
    heal: createHealMetrics(registry, upstreamNames),
    hooks: createHookMetrics(registry),
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

function createKeyMetrics(registry: Registry, issuerNames: readonly string[]): KeyMetrics {
  const fetches = createCells(registry, "counter", {
    name: "bearerswap_jwks_fetches_total",
    help: "Requests for the keys, or the metadata, of a session source's issuer. result: ok for a 2xx answer, else failed.",
    labels: ["source", "result"],
  });
  for (const source of issuerNames) for (const result of ["ok", "failed"]) fetches.of(source, result);
  return {
    fetched(source, ok) {
      fetches.of(source, ok ? "ok" : "failed").value += 1;
    },
  };
}

function createSizeMetrics(registry: Registry, upstreamNames: readonly string[]): SizeMetrics {
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
  return {
    tokens(manager) {
      for (const upstream of upstreamNames) {
        tokens.ask([upstream], () => manager.held(upstream));
        failing.ask([upstream], () => manager.failing(upstream));
      }
    },
    sessions: (source, size) => sessions.ask([source], size),
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
