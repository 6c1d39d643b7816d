import { describeLeases } from "./contract-lease.ts";
import { describeLife } from "./contract-life.ts";
import { describeList } from "./contract-list.ts";
import { describePeeks } from "./contract-peek.ts";
import { describeRejection } from "./contract-rejection.ts";
import { describeRevocation } from "./contract-revocation.ts";
import { describeWrites } from "./contract-writes.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Runs what every store promises; `current` gives the store, opened in a hook of the caller. */
export function describeContract(current: () => StoreUnderTest): void {
  describeWrites(current);
  describeLeases(current);
  describeLife(current);
  describePeeks(current);
  describeRejection(current);
  describeRevocation(current);
  describeList(current);
}
