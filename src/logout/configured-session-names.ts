import { isJwtSource, isNamed, type SourceConfig } from "../sessions/source-config.ts";
import type { SessionIndex } from "../stores/session-index.ts";
import { createSessionNames, type SessionNames, type SessionNamesDeps } from "./session-names.ts";

interface ConfiguredNamesDeps extends Pick<SessionNamesDeps, "store" | "clock" | "log"> {
  readonly config: {
    readonly sessions: readonly SourceConfig[];
    readonly upstreams: Readonly<Record<string, { readonly refreshTokenLifeMs: number }>>;
    readonly cache: { readonly maxSessions: number };
  };
  readonly flowStores: { readonly index: SessionIndex } | undefined;
}

/** Undefined where no source's issuer names sessions or users to us. */
export function configuredSessionNames({ config, flowStores, ...deps }: ConfiguredNamesDeps): SessionNames | undefined {
  const sources = config.sessions.filter(isJwtSource).filter(isNamed);
  if (sources.length === 0 || flowStores === undefined) return undefined;
  const grantLifeMs = Math.max(0, ...Object.values(config.upstreams).map((upstream) => upstream.refreshTokenLifeMs));
  return createSessionNames({
    ...deps,
    sources,
    index: flowStores.index,
    upstreamNames: Object.keys(config.upstreams),
    grantLifeMs,
    maxEntries: config.cache.maxSessions,
  });
}
