import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Provider } from "../providers/provider.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import type { TokenMetrics } from "./metrics.ts";
import { createRotation, type Rotation } from "./rotation.ts";
import { createSlots, type Slots } from "./slots.ts";

/** One upstream's provider, with all that controls the calls to it in this process. */
export interface Gate {
  readonly provider: Provider;
  readonly rotation: Rotation;
  readonly breaker: Breaker;
  readonly slots: Slots;
}

/** The gates of all upstreams. */
export interface Gates {
  of(upstream: string): Gate | undefined;
  /**
   * Takes over the providers of another configuration. Where an upstream's provider is another one it gets a new gate:
   * what was learnt of the one before says nothing of it. Attempts under way go on with the gate that they have.
   */
  adopt(providers: ReadonlyMap<string, Provider>): void;
}

interface GatesDeps {
  readonly providers: ReadonlyMap<string, Provider>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** A gate stays this long after its upstream was removed, ms, for requests that were under way then. */
const removedMs = 60_000;

export function createGates({ providers, clock, log, metrics }: GatesDeps): Gates {
  const gates = new Map<string, Gate>();
  for (const [upstream, provider] of providers) make(upstream, provider);

  return {
    of: (upstream) => gates.get(upstream),
    adopt(next) {
      for (const [upstream, gate] of gates) if (!next.has(upstream)) removeLater(upstream, gate);
      for (const [upstream, provider] of next) {
        if (gates.get(upstream)?.provider === provider) continue;
        make(upstream, provider);
        metrics.breaker(upstream, "closed");
      }
    },
  };

  function make(upstream: string, provider: Provider): void {
    const isCurrent = () => gates.get(upstream) === gate;
    const breakerMetrics: Pick<TokenMetrics, "breaker"> = {
      breaker: (name, state) => isCurrent() && metrics.breaker(name, state),
    };
    const gate: Gate = {
      provider,
      rotation: createRotation({ upstream, provider, log, metrics }),
      breaker: createBreaker({ upstream, clock, log, metrics: breakerMetrics }),
      slots: createSlots(provider.maxConcurrency),
    };
    gates.set(upstream, gate);
  }

  function removeLater(upstream: string, gate: Gate): void {
    clock.after(removedMs, () => {
      if (gates.get(upstream) === gate) gates.delete(upstream);
    });
  }
}
