import type { TokenStore } from "../../src/stores/token-store.ts";
import { describeLeases } from "./contract-lease.ts";
import { describeLife } from "./contract-life.ts";
import { describeList } from "./contract-list.ts";
import { describeRevocation } from "./contract-revocation.ts";
import { describeWrites } from "./contract-writes.ts";

/** A store under test. */
export interface StoreUnderTest {
  readonly store: TokenStore;
  /** Lets so much time pass for the store. */
  pass(ms: number): Promise<void>;
}

/** Runs what every store promises; `current` gives the store, opened in a hook of the caller. */
export function describeContract(current: () => StoreUnderTest): void {
  describeWrites(current);
  describeLeases(current);
  describeLife(current);
  describeRevocation(current);
  describeList(current);
}
