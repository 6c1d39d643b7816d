import type { Provider } from "../providers/provider.ts";
import type { Breaker } from "./breaker.ts";
import type { Rotation } from "./rotation.ts";
import type { Slots } from "./slots.ts";

/** One upstream's provider, with all that controls the calls to it in this process. */
export interface Gate {
  readonly provider: Provider;
  readonly rotation: Rotation;
  readonly breaker: Breaker;
  readonly slots: Slots;
}
