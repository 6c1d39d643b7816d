import type { Log } from "../../src/platform/log.ts";
import type { Random } from "../../src/platform/random.ts";
import type { Provider } from "../../src/providers/provider.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { createTokenManager, type TokenManager, type TokenManagerConfig } from "../../src/tokens/token-manager.ts";
import { noTokenMetrics } from "../support/no-metrics.ts";
import type { History } from "./history.ts";
import type { Rng } from "./rng.ts";
import type { SimProcess } from "./sim-process.ts";

/** One bearerswap: the real token manager in a simulated process. */
export interface Replica {
  readonly process: SimProcess;
  readonly tokens: TokenManager;
}

export interface ReplicaDeps {
  readonly process: SimProcess;
  readonly store: TokenStore;
  readonly provider: Provider;
  readonly random: Random;
  readonly log: Log;
  readonly config: TokenManagerConfig;
}

export const upstream = "crm";

export function createReplica({ process, store, provider, random, log, config }: ReplicaDeps): Replica {
  const providers = new Map([[upstream, provider]]);
  return {
    process,
    tokens: createTokenManager({
      store,
      providers,
      clock: process.clock,
      random,
      log,
      metrics: noTokenMetrics,
      config,
    }),
  };
}

/** Ids in the order in which they are asked for, to be readable; fractions from the seed. */
export function simRandom(name: string, rng: Rng): Random {
  let ids = 0;
  return { id: () => `${name}.${++ids}`, fraction: () => rng.next() };
}

/** Lines go into the history. */
export function simLog(name: string, history: History): Log {
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>, text: string) =>
    history.note(name, level, text, fields);
  return { error: line("error"), warn: line("warn"), info: line("info"), debug: line("debug") } as unknown as Log;
}
