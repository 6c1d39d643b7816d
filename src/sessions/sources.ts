import type { JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { Wanted } from "./check-input.ts";
import type { Credentials, OwnCookies, Place } from "./credential.ts";
import { createForwardedJwt } from "./forwarded-jwt.ts";
import { createJwtSource, type JwtIssuer } from "./jwt-source.ts";
import type { KeySet } from "./key-set.ts";
import { createMetadataSource } from "./metadata-source.ts";
import { createOpaqueSource } from "./opaque-source.ts";
import { createOwnSource, type LiveSessions } from "./own-source.ts";
import { createPrincipalSource } from "./principal-source.ts";
import { createSessions, type Identification, type SessionSource } from "./session.ts";
import { createSessionCache } from "./session-cache.ts";
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
  /** Told what each source that was asked has found, with the names of those that read the same place. */
  readonly told?: ((names: readonly string[], found: Identification) => void) | undefined;
  /** Takes over sources that have not changed, with the sessions that they know. */
  readonly keep: Keep;
}

/** All sources as one, and how many sessions are remembered: by the first source of those that read a place. */
interface Sources extends SessionSource {
  readonly sizes: ReadonlyMap<string, () => number>;
}

type JwtConfig = SourceConfig & { readonly kind: "jwt" };

/**
 * Makes the configured sources, in their order. JWT issuers that share a place become one source: where one of them has
 * changed, the sessions of all of them are verified anew.
 */
export function createSources({
  config,
  maxEntries,
  clock,
  keys,
  onVerified,
  keepsTokens = false,
  ownSessions,
  told,
  keep,
}: SourcesDeps): Sources {
  const sizes = new Map<string, () => number>();
  const jwts = config.filter((source) => source.kind === "jwt");
  const firstOfPlace = (source: JwtConfig) => jwts.find((other) => samePlace(other.from, source.from)) === source;
  const sources = config.flatMap((source) => (source.kind !== "jwt" || firstOfPlace(source) ? [heard(source)] : []));
  return { ...createSessions(sources), sizes };

  function heard(config: SourceConfig): SessionSource {
    const source = create(config);
    if (told === undefined) return source;
    const ofPlace = (other: JwtConfig) => config.kind === "jwt" && samePlace(other.from, config.from);
    const names = config.kind === "jwt" ? jwts.filter(ofPlace).map(({ name }) => name) : [config.name];
    const tell = (found: Identification) => {
      told(names, found);
      return found;
    };
    return {
      identify(input) {
        const found = source.identify(input);
        return found instanceof Promise ? found.then(tell) : tell(found);
      },
    };
  }

  function create(source: SourceConfig): SessionSource {
    switch (source.kind) {
      case "jwt":
        return createVerified(source);
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

  function createVerified({ name, from }: JwtConfig): SessionSource {
    const ofPlace = jwts.filter((other) => samePlace(other.from, from));
    const { source, cache } = keep(`source ${name}`, [ofPlace, maxEntries, keepsTokens], () => {
      const cache = createSessionCache({ clock, maxEntries });
      return { cache, source: createJwtSource({ from, issuers: ofPlace.map(issuerOf), cache, keepsTokens, clock }) };
    });
    sizes.set(name, cache.size);
    return source;
  }

  function createIssued(config: SourceConfig & { readonly kind: "cookie" }): SessionSource {
    const { name, from, idleMs } = config;
    if (ownSessions === undefined) throw new BearerswapError("config", `sessions: "${name}" needs the section connect`);
    const source = keep(`source ${name}`, [config, maxEntries], () =>
      createOwnSource({ name, cookie: from.cookie, idleMs, maxEntries, sessions: ownSessions, clock }),
    );
    sizes.set(name, source.size);
    return source;
  }

  function issuerOf({ clockTolerance, ...config }: JwtConfig): JwtIssuer {
    const { name, isOfToolhive, issuer, audience, claim, subject } = config;
    const keySet = keys.get(name);
    if (keySet === undefined) throw new BearerswapError("config", `sessions: "${name}" has no keys to verify with`);
    const tell = onVerified && ((session: string, payload: JWTPayload) => onVerified(name, session, payload));
    const own = { clockToleranceMs: clockTolerance, keys: keySet, onVerified: tell };
    return { name, isOfToolhive, issuer, audience, claim, subject, ...own };
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
