import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { discoverServer } from "../platform/discovery.ts";
import { mayBeAsked } from "../platform/loopback.ts";
import { type ClientAuthConfig, clientAuthOf } from "./client-auth.ts";

/** Where an authorization server is, and who we are there. */
export interface ServerConfig {
  /**
   * With `tokenEndpoint`: what ID tokens and client assertions name. Without: discovered from (OpenID Connect Discovery
   * 1.0, RFC 8414).
   */
  readonly issuer?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  /** RFC 7009; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly revocationEndpoint?: string | undefined;
  /** RFC 6749 §3.1; used with `tokenEndpoint`, else it is discovered with the issuer. */
  readonly authorizationEndpoint?: string | undefined;
  readonly clientId: string;
  readonly clientAuth: ClientAuthConfig;
  /** The operator allows plain http also off loopback. */
  readonly allowInsecure: boolean;
}

/** A response that comes later than this is not waited for, in seconds; callers give up long before. */
const latestResponseSeconds = 60;
const discoveryTimeoutSeconds = 8;
const used = ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"];

/**
 * Metadata are asked for again at most once in this time for each endpoint that they name, ms, however often it fails.
 */
const rediscoveryCooldownMs = 30_000;

/**
 * openid-client's view of the server: static endpoints at once; discovered ones once, again after a failure, and again
 * where they seem to have moved.
 */
export interface ServerConfiguration {
  /** Throws what discovery throws. */
  configure(): Promise<openid.Configuration>;
  /**
   * The endpoint at this address is gone, or its server cannot be reached: the next `configure` asks where it is now,
   * if it was discovered.
   */
  gone(url: string): void;
}

export interface ServerConfigurationDeps {
  readonly config: ServerConfig;
  readonly customFetch: openid.CustomFetch;
  readonly clock: Pick<Clock, "monotonicMs">;
}

export function createServerConfiguration({
  config,
  customFetch,
  clock,
}: ServerConfigurationDeps): ServerConfiguration {
  const auth = clientAuthOf(config.clientAuth);
  let known: Promise<openid.Configuration> | undefined;
  /** The last that was found: in use where it cannot be asked for anew. */
  let last: openid.Configuration | undefined;
  /**
   * When each endpoint, by its name in the metadata, was last found gone: one that moves must not have to wait for
   * another that was looked for just before.
   */
  const goneAt = new Map<string, number>();

  return {
    configure() {
      known ??= find().catch((error: unknown) => {
        known = undefined;
        throw error;
      });
      return known;
    },
    gone(url) {
      if (last === undefined) return;
      const now = clock.monotonicMs();
      const metadata: Readonly<Record<string, unknown>> = { ...last.serverMetadata() };
      const isDue = (name: string) => now - (goneAt.get(name) ?? Number.NEGATIVE_INFINITY) >= rediscoveryCooldownMs;
      const found = used.filter((name) => metadata[name] === url && isDue(name));
      if (found.length === 0) return;
      for (const name of found) goneAt.set(name, now);
      known = undefined;
    },
  };

  async function find(): Promise<openid.Configuration> {
    if (config.tokenEndpoint !== undefined) return fixed(config.tokenEndpoint);
    try {
      last = await discover(config.issuer ?? "");
    } catch (error) {
      if (last === undefined) throw error;
    }
    return last;
  }

  function fixed(tokenEndpoint: string): openid.Configuration {
    const revocation =
      config.revocationEndpoint === undefined ? {} : { revocation_endpoint: config.revocationEndpoint };
    const authorization =
      config.authorizationEndpoint === undefined ? {} : { authorization_endpoint: config.authorizationEndpoint };
    const server = {
      issuer: config.issuer ?? tokenEndpoint,
      token_endpoint: tokenEndpoint,
      ...revocation,
      ...authorization,
    };
    const configuration = new openid.Configuration(server, config.clientId, undefined, auth);
    configuration[openid.customFetch] = customFetch;
    if (mayBeAsked(tokenEndpoint.replace(/^https:/, "http:"), config.allowInsecure))
      openid.allowInsecureRequests(configuration);
    configuration.timeout = latestResponseSeconds;
    return configuration;
  }

  async function discover(issuer: string): Promise<openid.Configuration> {
    const { clientId, allowInsecure } = config;
    const configuration = await discoverServer(issuer, {
      clientId,
      auth,
      customFetch,
      allowInsecure,
      timeoutSeconds: discoveryTimeoutSeconds,
      used,
    });
    configuration.timeout = latestResponseSeconds;
    return configuration;
  }
}
