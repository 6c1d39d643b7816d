import type { TokenStore } from "../../src/stores/token-store.ts";

/** A store under test. */
export interface StoreUnderTest {
  readonly store: TokenStore;
  /** Lets so much time pass for the store. */
  pass(ms: number): Promise<void>;
}
