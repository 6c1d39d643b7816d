import type { Clock } from "../clock.ts";
import type { SourceConfig } from "../config/sessions-schema.ts";
import { isLoopback } from "../config/units.ts";
import type { Log } from "../telemetry/log.ts";
import type { KeyMetrics, SizeMetrics } from "../telemetry/metrics.ts";
import type { Place } from "./credential.ts";
import { createJwtSource, type JwtIssuer } from "./jwt-source.ts";
import { createKeySet } from "./key-set.ts";
import { createMetadataSource } from "./metadata-source.ts";
import { createOpaqueSource } from "./opaque-source.ts";
import { createPrincipalSource } from "./principal-source.ts";
import type { Wanted } from "./request.ts";
import type { Credentials } from "./response.ts";
import { createSessions, type SessionSource } from "./session.ts";
import { createSessionCache, type SessionCache } from "./session-cache.ts";

export interface SourcesDeps {
  readonly config: readonly SourceConfig[];
  /** Sessions remembered for each place that credentials stand in. */
  readonly maxEntries: number;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: { readonly keys: KeyMetrics; readonly sizes: Pick<SizeMetrics, "sessions"> };
}

type JwtConfig = SourceConfig & { readonly kind: "jwt" };

/** The configured sources in their order; JWT issuers that share a place are one source there. */
export function createSources({ config, maxEntries, fetch, clock, log, metrics }: SourcesDeps): SessionSource {
  const jwts = config.filter((source) => source.kind === "jwt");
  const firstOfPlace = (source: JwtConfig) => jwts.find((other) => samePlace(other.from, source.from)) === source;
  return createSessions(config.flatMap((source) => (source.kind !== "jwt" || firstOfPlace(source) ? [create(source)] : [])));

  function create(source: SourceConfig): SessionSource {
    switch (source.kind) {
      case "jwt":
        return createJwtSource({
          from: source.from,
          issuers: jwts.filter((other) => samePlace(other.from, source.from)).map(issuerOf),
          cache: cacheOf(source),
          clock,
        });
      case "metadata":
        return createMetadataSource(source);
      case "opaque":
        return createOpaqueSource({ name: source.name, from: source.from, cache: cacheOf(source) });
      case "principal":
        return createPrincipalSource(source);
      default:
        return source satisfies never;
    }
  }

  function cacheOf({ name }: SourceConfig): SessionCache {
    const cache = createSessionCache({ clock, maxEntries });
    metrics.sizes.sessions(name, cache.size);
    return cache;
  }

  function issuerOf({ name, issuer, audience, claim, subject, clockTolerance, jwks, jwksCooldown, allowInsecure }: JwtConfig): JwtIssuer {
    const plainHttp = allowInsecure || isLoopback(URL.parse(issuer)?.hostname ?? "");
    const keyConfig = { issuer, jwks, cooldownMs: jwksCooldown, allowInsecure: plainHttp };
    const keys = createKeySet({ config: keyConfig, fetch, clock, log, onFetched: (ok) => metrics.keys.fetched(name, ok) });
    return { name, issuer, audience, claim, subject, clockToleranceMs: clockTolerance, keys };
  }
}

/** What the sources look at in a request. */
export function wantedBy(sources: readonly SourceConfig[]): Wanted {
  const { headers, cookies } = credentialsOf(sources);
  return { headers: cookies.size > 0 ? [...headers, "cookie"] : headers, metadata: sources.some((source) => source.kind === "metadata") };
}

/** Where session credentials stand: none of it may reach an upstream. */
export function credentialsOf(sources: readonly SourceConfig[]): Credentials {
  const headers = new Set<string>();
  const cookies = new Set<string>();
  for (const source of sources) {
    if (source.kind === "metadata") for (const header of source.strip) headers.add(header);
    if (source.kind !== "jwt" && source.kind !== "opaque") continue;
    if ("cookie" in source.from) cookies.add(source.from.cookie);
    else headers.add(source.from.header);
  }
  return { headers, cookies };
}

function samePlace(a: Place, b: Place): boolean {
  return "cookie" in a ? "cookie" in b && a.cookie === b.cookie : "header" in b && a.header === b.header;
}
