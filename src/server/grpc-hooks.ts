import type { Log } from "../platform/log.ts";

/**
 * What is done to @grpc/grpc-js from inside, as it has no public way to it. After an upgrade it may lack the place.
 */
export type GrpcHook = "direct_answers" | "reset_limits";

/** The hooks that a server wants, and whether its grpc-js takes them. */
export type GrpcHooks = ReadonlyMap<GrpcHook, boolean>;

const means: Readonly<Record<GrpcHook, string>> = {
  direct_answers:
    "Checks go through all of its own machinery: they get the same answers, and cost several times the CPU",
  reset_limits:
    "Node's own HTTP/2 limits stay: when the clients of one Envoy give up more than 1,000 Checks at once, its connection is ended, and the Checks of others on it get 503",
};

/** Where the state of the hooks is shown. */
export interface HookMetrics {
  hook(hook: GrpcHook, isActive: boolean): void;
}

/** Reports hooks that are missing at start, since an operator would otherwise notice it only under load. */
export function reportHooks(hooks: GrpcHooks, { log, metrics }: { log: Log; metrics: HookMetrics }): void {
  for (const [hook, isActive] of hooks) {
    metrics.hook(hook, isActive);
    if (!isActive)
      log.warn(
        { event: "grpc_hook_missing", hook },
        `this @grpc/grpc-js has no place for ${hook}: ${means[hook]}; install the version that package-lock.json names (npm ci)`,
      );
  }
}
