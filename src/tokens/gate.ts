import type { Provider } from "../providers/provider.ts";
import type { Breaker } from "./breaker.ts";
import type { Rotation } from "./rotation.ts";
import type { Slots } from "./slots.ts";

/** What stands before one upstream's provider in this process. */
export interface Gate {
  readonly provider: Provider;
  readonly rotation: Rotation;
  readonly breaker: Breaker;
  readonly slots: Slots;
}
