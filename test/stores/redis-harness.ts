import { Redis } from "ioredis";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createRedisStore, type RedisStoreConfig } from "../../src/stores/redis-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import type { Resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

export interface OpenStore {
  readonly store: TokenStore;
  /** Everything logged. */
  log(): string;
}

/** A Redis store on `url`, closed with `resources`; waits for its first answer unless `wait` is false. */
export async function openStore(
  { use }: Resources,
  url: string,
  { wait = true, ...config }: Partial<Omit<RedisStoreConfig, "url">> & { wait?: boolean } = {},
): Promise<OpenStore> {
  const lines: string[] = [];
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const settings = { url: new Secret(url), keyPrefix: "bearerswap:", commandTimeoutMs: 2_000, ...config };
  const store = await use(
    createRedisStore({ config: settings, clock: systemClock(), log, random: systemRandom(), metrics: noStoreMetrics }),
  );
  if (wait) await until("the store's first answer", () => answers(store));
  return { store, log: () => lines.join("") };
}

/** Whether a ping gets through now. */
export function answers(store: TokenStore): Promise<boolean> {
  return store.ping().then(
    () => true,
    () => false,
  );
}

/** A client that looks at the server past the store. */
export async function openClient({ onStop }: Resources, url: string): Promise<Redis> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on("error", () => {});
  onStop(() => client.disconnect());
  await client.connect();
  return client;
}
