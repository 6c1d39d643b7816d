import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { Log } from "../platform/log.ts";
import { createKeySet, type KeySet } from "./key-set.ts";
import type { KeyMetrics } from "./metrics.ts";
import type { SourceConfig } from "./source-config.ts";

interface KeySetsDeps {
  readonly config: readonly SourceConfig[];
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: KeyMetrics;
  readonly keep: Keep;
}

/** The keys of each `jwt` source's issuer, by the source's name: whatever that issuer signs is verified with them. */
export function createKeySets({
  config,
  fetchFor,
  clock,
  log,
  metrics,
  keep,
}: KeySetsDeps): ReadonlyMap<string, KeySet> {
  const sets = new Map<string, KeySet>();
  for (const source of config) {
    if (source.kind !== "jwt") continue;
    const { name, issuer, jwks, jwksCooldown: cooldownMs } = source;
    const { allowInsecure } = source;
    const onFetched = (ok: boolean) => metrics.fetched(name, ok);
    const keySetConfig = { issuer, jwks, cooldownMs, allowInsecure };
    const make = () => createKeySet({ config: keySetConfig, fetch: fetchFor(source.ca), clock, log, onFetched });
    sets.set(name, keep(`keys ${name}`, [keySetConfig, source.ca], make));
  }
  return sets;
}
