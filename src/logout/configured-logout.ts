import { isLogoutSource, type SourceConfig } from "../sessions/source-config.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { SessionIndex } from "../stores/session-index.ts";
import { type BackchannelLogoutDeps, createBackchannelLogout } from "./backchannel-logout.ts";
import { createLogoutEndpoint, type LogoutEndpoint } from "./logout-endpoint.ts";
import { createSessionNames, type SessionNames } from "./session-names.ts";

/** How issuers end sessions. */
interface Logout {
  readonly names: Pick<SessionNames, "seen" | "granted">;
  readonly endpoint: LogoutEndpoint;
}

type Shared = Omit<BackchannelLogoutDeps, "sources" | "names" | "flows" | "upstreamNames">;

interface ConfiguredLogoutDeps extends Shared {
  readonly config: {
    readonly sessions: readonly SourceConfig[];
    readonly upstreams: Readonly<Record<string, { readonly refreshTokenLifeMs: number }>>;
  };
  readonly flowStores: { readonly flows: FlowStore; readonly index: SessionIndex } | undefined;
}

/** Undefined where no issuer may end sessions. */
export function configuredLogout({ config, flowStores, ...deps }: ConfiguredLogoutDeps): Logout | undefined {
  const sources = config.sessions.filter(isLogoutSource);
  if (sources.length === 0 || flowStores === undefined) return undefined;
  const { flows, index } = flowStores;
  const grantLifeMs = Math.max(0, ...Object.values(config.upstreams).map((upstream) => upstream.refreshTokenLifeMs));
  const names = createSessionNames({ sources, index, grantLifeMs, clock: deps.clock, log: deps.log });
  const upstreamNames = Object.keys(config.upstreams);
  const logout = createBackchannelLogout({ ...deps, sources, names, flows, upstreamNames });
  return { names, endpoint: createLogoutEndpoint(logout) };
}
