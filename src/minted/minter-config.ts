import type { FreshnessConfig } from "../tokens/access-token.ts";

export interface MinterConfig extends FreshnessConfig {
  readonly cacheEntries: number;
  /** How long a mint may take, ms, its wait for another replica included. */
  readonly timeoutMs: number;
  /** How long a token lives where the provider does not say, ms. */
  readonly lifeMs: number;
  /** How long it may go unnoticed that a session was ended, ms: with the store, and without it. */
  readonly maxStalenessMs: number;
  readonly maxOutageMs: number;
}
