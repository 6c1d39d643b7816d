import type { JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Wanted } from "./check-input.ts";
import type { Credentials, OwnCookies, Place } from "./credential.ts";
import { createForwardedJwt } from "./forwarded-jwt.ts";
import { createJwtSource, type JwtIssuer } from "./jwt-source.ts";
import type { KeySet } from "./key-set.ts";
import { createMetadataSource } from "./metadata-source.ts";
import type { SessionSizes } from "./metrics.ts";
import { createOpaqueSource } from "./opaque-source.ts";
import { createOwnSource, type LiveSessions } from "./own-source.ts";
import { createPrincipalSource } from "./principal-source.ts";
import { createSessions, type SessionSource } from "./session.ts";
import { createSessionCache, type SessionCache } from "./session-cache.ts";
import type { SourceConfig } from "./source-config.ts";

interface SourcesDeps {
  readonly config: readonly SourceConfig[];
  /** How many sessions are remembered for each place that credentials are in. */
  readonly maxEntries: number;
  readonly clock: Clock;
  /** The keys of the `jwt` sources' issuers, by the sources' names. */
  readonly keys: ReadonlyMap<string, KeySet>;
  /** See {@link JwtIssuer}; called for every `jwt` source. */
  readonly onVerified: ((source: string, session: string, payload: JWTPayload) => Promise<boolean>) | undefined;
  /** See {@link createJwtSource}; default false. */
  readonly keepsTokens?: boolean;
  /** Needed by a `cookie` source: whether a session of our own still lives. */
  readonly ownSessions: LiveSessions | undefined;
  readonly metrics: { readonly sizes: Pick<SessionSizes, "sessions"> };
}

type JwtConfig = SourceConfig & { readonly kind: "jwt" };

/** Makes the configured sources, in their order. JWT issuers that share a place become one source. */
export function createSources({
  config,
  maxEntries,
  clock,
  keys,
  onVerified,
  keepsTokens = false,
  ownSessions,
  metrics,
}: SourcesDeps): SessionSource {
  const jwts = config.filter((source) => source.kind === "jwt");
  const firstOfPlace = (source: JwtConfig) => jwts.find((other) => samePlace(other.from, source.from)) === source;
  return createSessions(
    config.flatMap((source) => (source.kind !== "jwt" || firstOfPlace(source) ? [create(source)] : [])),
  );

  function create(source: SourceConfig): SessionSource {
    switch (source.kind) {
      case "jwt":
        return createJwtSource({
          from: source.from,
          issuers: jwts.filter((other) => samePlace(other.from, source.from)).map(issuerOf),
          cache: cacheOf(source),
          keepsTokens,
          clock,
        });
      case "metadata":
        return createMetadataSource(source, source.forwarded && createForwardedJwt(source.forwarded, maxEntries));
      case "opaque":
        return createOpaqueSource(source);
      case "cookie":
        return createIssued(source);
      case "principal":
        return createPrincipalSource(source);
      default:
        return source satisfies never;
    }
  }

  function createIssued({ name, from, idleMs }: SourceConfig & { readonly kind: "cookie" }): SessionSource {
    if (ownSessions === undefined) throw new BearerswapError("config", `sessions: "${name}" needs the section connect`);
    const source = createOwnSource({ name, cookie: from.cookie, idleMs, maxEntries, sessions: ownSessions, clock });
    metrics.sizes.sessions(name, source.size);
    return source;
  }

  function cacheOf({ name }: SourceConfig): SessionCache {
    const cache = createSessionCache({ clock, maxEntries });
    metrics.sizes.sessions(name, cache.size);
    return cache;
  }

  function issuerOf({ name, issuer, audience, claim, subject, clockTolerance }: JwtConfig): JwtIssuer {
    const keySet = keys.get(name);
    if (keySet === undefined) throw new BearerswapError("config", `sessions: "${name}" has no keys to verify with`);
    const tell = onVerified && ((session: string, payload: JWTPayload) => onVerified(name, session, payload));
    return { name, issuer, audience, claim, subject, clockToleranceMs: clockTolerance, keys: keySet, onVerified: tell };
  }
}

/** The parts of a request that the sources look at, and our own cookies. */
export function wantedBy(sources: readonly SourceConfig[], own: OwnCookies = {}): Wanted {
  const { headers, cookies } = credentialsOf(sources, own);
  return {
    headers: cookies.size > 0 ? [...headers, "cookie"] : headers,
    metadata: sources.some((source) => source.kind === "metadata"),
  };
}

/** Where session credentials are, and our own cookies: none of them may reach an upstream. */
export function credentialsOf(
  sources: readonly SourceConfig[],
  { names = [], prefixes = [] }: OwnCookies = {},
): Credentials {
  const headers = new Set<string>();
  const cookies = new Set<string>(names);
  for (const source of sources) {
    if (source.kind === "metadata") for (const header of source.strip) headers.add(header);
    const place = "from" in source ? source.from : source.kind === "metadata" ? source.forwarded : undefined;
    if (place === undefined) continue;
    if ("cookie" in place) cookies.add(place.cookie);
    else headers.add(place.header);
  }
  return { headers, cookies, cookiePrefixes: prefixes };
}

function samePlace(a: Place, b: Place): boolean {
  return "cookie" in a ? "cookie" in b && a.cookie === b.cookie : "header" in b && a.header === b.header;
}
