/**
 * How a token that was needed was come by, or not. `minted`: the provider gave it. `shared`: another replica had minted
 * it. The rest: as the provider's answer was classified.
 */
export type MintEnding = "minted" | "shared" | "refused" | "misconfigured" | "transient" | "unknown";

/** Counts what is minted at each upstream. Every call is cheap and never throws. */
export interface MintMetrics {
  /** @param durationMs of the call to the provider; absent where there was none */
  minted(upstream: string, ending: MintEnding, durationMs?: number): void;
}
