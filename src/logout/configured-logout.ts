import { isLogoutSource, type SourceConfig } from "../sessions/source-config.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { type BackchannelLogoutDeps, createBackchannelLogout } from "./backchannel-logout.ts";
import { createLogoutEndpoint, type LogoutEndpoint } from "./logout-endpoint.ts";
import type { SessionNames } from "./session-names.ts";

type Shared = Omit<BackchannelLogoutDeps, "sources" | "names" | "flows" | "upstreamNames">;

interface ConfiguredLogoutDeps extends Shared {
  readonly config: {
    readonly sessions: readonly SourceConfig[];
    readonly upstreams: Readonly<Record<string, unknown>>;
  };
  readonly names: Pick<SessionNames, "named"> | undefined;
  readonly flowStores: { readonly flows: FlowStore } | undefined;
}

/** How issuers end sessions; undefined where none may. */
export function configuredLogout({
  config,
  names,
  flowStores,
  ...deps
}: ConfiguredLogoutDeps): LogoutEndpoint | undefined {
  const sources = config.sessions.filter(isLogoutSource);
  if (sources.length === 0 || names === undefined || flowStores === undefined) return undefined;
  const upstreamNames = Object.keys(config.upstreams);
  return createLogoutEndpoint(
    createBackchannelLogout({ ...deps, sources, names, flows: flowStores.flows, upstreamNames }),
  );
}
