import type { ConnectHooks } from "../check/connect-hooks.ts";
import type { CheckUpstream } from "../check/upstream.ts";
import type { Keep } from "../platform/kept-parts.ts";
import { createDailyKeys } from "../stores/daily-keys.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { createHealing, type Healing, type HealingDeps } from "./healing.ts";
import { createProcess, type Process } from "./processor.ts";
import { createProofKeys } from "./proof-keys.ts";
import { createProvenBy } from "./proven.ts";
import { createScopeRefusals } from "./scope-refusals.ts";

/** Healing, with what serves Envoy's ext_proc filters. */
export interface Heal extends Pick<Healing, "prove"> {
  readonly process: Process;
  /** Begins to ask the store for keys; harmless where that was begun. */
  start(): void;
  close(): Promise<void>;
}

interface ConfiguredHealDeps
  extends Omit<HealingDeps, "keys" | "provenBy" | "upstreams" | "config" | "challenge" | "connect"> {
  readonly connect: Pick<ConnectHooks, "offer" | "stepUp"> | undefined;
  readonly config: {
    readonly heal?: object | undefined;
    readonly check: HealingDeps["challenge"] & HealingDeps["config"];
    readonly upstreams: Readonly<Record<string, Pick<CheckUpstream, "inject">>>;
  };
  readonly flowStores: { readonly flows: FlowStore } | undefined;
  /** Takes over the keys, without which nothing could be proved until the store has answered. */
  readonly keep: Keep;
}

/** Undefined where the configuration has no section `heal`. */
export function configuredHeal({ config, flowStores, keep, ...deps }: ConfiguredHealDeps): Heal | undefined {
  if (config.heal === undefined || flowStores === undefined) return undefined;
  const { clock, log } = deps;
  const { flows } = flowStores;
  const keys = keep("proof keys", flows, () =>
    createProofKeys({ keys: createDailyKeys({ flows, clock }), clock, log }),
  );
  const provenBy = createProvenBy({ keys, clock, log });
  const upstreams = new Map(Object.entries(config.upstreams).map(([name, { inject }]) => [name, { name, inject }]));
  const settings = { challenge: config.check, config: config.check };
  const healing = createHealing({ ...deps, ...settings, keys, provenBy, upstreams });
  const stepUp = deps.connect?.stepUp;
  const scopeRefused = stepUp && createScopeRefusals({ ...settings, provenBy, stepUp, clock });
  return {
    prove: healing.prove,
    process: createProcess({ healing, scopeRefused, log }),
    start: keys.start,
    close: async () => keys.stop(),
  };
}
