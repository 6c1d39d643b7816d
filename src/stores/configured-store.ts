import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "./flow-store.ts";
import { createMemoryFlowStore } from "./memory-flow-store.ts";
import { createMemorySessionIndex } from "./memory-session-index.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { StoreMetrics } from "./metrics.ts";
import { connectRedis } from "./redis-connection.ts";
import { createRedisFlowStore } from "./redis-flow-store.ts";
import { createRedisSessionIndex } from "./redis-session-index.ts";
import { createRedisStore, type RedisStoreConfig } from "./redis-store.ts";
import type { Sealer } from "./sealing.ts";
import type { SessionIndex } from "./session-index.ts";
import type { TokenStore } from "./token-store.ts";
import { type StoreTracing, tracedRedis } from "./tracing.ts";

/** Which store, with its settings. */
export type StoreConfig =
  | { readonly kind: "memory"; readonly maxGrants: number }
  | ({ readonly kind: "redis" } & RedisStoreConfig);

interface ConfiguredStoreDeps {
  readonly config: StoreConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Seals tokens and other records. */
  readonly sealer: Sealer;
  readonly tracing?: StoreTracing | undefined;
}

const ownRecords = 10_000;

/** Where grants are kept. */
export function configuredStore({ metrics, ...deps }: ConfiguredStoreDeps & { metrics: StoreMetrics }): TokenStore {
  const { config, clock, random, log, sealer, tracing } = deps;
  return config.kind === "redis"
    ? createRedisStore({ config, clock, random, log, sealer, metrics, tracing })
    : createMemoryStore({ clock, maxGrants: config.maxGrants });
}

/** The stores of what connecting accounts and logouts keep beside the grants. Closing `flows` closes both. */
export interface FlowStores {
  readonly flows: FlowStore;
  /** What this process counts by itself while `flows` does not answer. */
  readonly own: FlowStore;
  readonly index: SessionIndex;
}

interface FlowStoreDeps {
  readonly isNeeded: boolean;
  /** Tells of sessions' ends, where it is in this process alone. */
  readonly store: Pick<TokenStore, "announce">;
}

/**
 * Keeps these records in the same place as the grants, on a connection of their own. Undefined if the configuration
 * needs none of them.
 */
export function configuredFlowStores({
  isNeeded,
  config,
  clock,
  random,
  log,
  sealer,
  store,
  tracing,
}: ConfiguredStoreDeps & FlowStoreDeps): FlowStores | undefined {
  if (!isNeeded) return undefined;
  const own = createMemoryFlowStore({ clock, maxRecords: ownRecords });
  if (config.kind === "memory") {
    const { maxGrants } = config;
    return {
      ...{ flows: createMemoryFlowStore({ clock, maxRecords: maxGrants, ended: store.announce }), own },
      index: createMemorySessionIndex({ clock, maxEntries: 2 * maxGrants }),
    };
  }
  const { keyPrefix } = config;
  const redis = tracedRedis(connectRedis({ config, clock, random, log }), config, tracing);
  return {
    ...{ flows: createRedisFlowStore({ redis, keyPrefix, sealer }), own },
    index: createRedisSessionIndex({ redis, keyPrefix }),
  };
}
