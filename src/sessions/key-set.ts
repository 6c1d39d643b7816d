import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify,
  type RemoteJWKSet,
} from "jose";
import type * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { discoverServer, fetchProblem } from "../platform/discovery.ts";
import { messageOf } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { foreignText } from "../platform/foreign-text.ts";
import type { Log } from "../platform/log.ts";

/** A verified payload, or why there is none. `invalid` is the token's fault, `unavailable` the key server's. */
export type VerifyResult =
  | { readonly kind: "verified"; readonly payload: JWTPayload; readonly typ: string | undefined }
  | { readonly kind: "invalid"; readonly why: string }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs: number };

/** The keys of one issuer. */
export interface KeySet {
  verify(jwt: string, options: JWTVerifyOptions): Promise<VerifyResult>;
}

interface KeySetConfig {
  readonly issuer: string;
  /**
   * The JWKS document (RFC 7517 §5); discovered from the issuer where absent (OpenID Connect Discovery 1.0, RFC 8414).
   */
  readonly jwks?: string | undefined;
  /** An unknown key id makes the document be fetched again, once in this time, ms. */
  readonly cooldownMs: number;
  readonly allowInsecure: boolean;
}

interface KeySetDeps {
  readonly config: KeySetConfig;
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  readonly log: Log;
  /** One request for keys or metadata ended, `ok` with a 2xx answer. */
  readonly onFetched: (ok: boolean) => void;
}

/** Keys older than this are fetched again in the background; the old ones stay in use until that succeeds, ms. */
const maxAgeMs = 10 * 60_000;
/** After a failed fetch nobody tries again for this long, ms. */
const failureCooldownMs = 3_000;
const timeoutSeconds = 5;

/** jose's codes for errors that are the token's fault alone. */
const invalidCodes: ReadonlySet<string> = new Set([
  errors.JWTExpired.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTInvalid.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
]);

/** Keys from a JWKS document over HTTP: cached, fetched anew for an unknown key id, kept while their server is down. */
export function createKeySet({ config, fetch, clock, log, onFetched }: KeySetDeps): KeySet {
  let remote: Promise<RemoteJWKSet> | undefined;
  let fetches = 0;
  let fetchedAt = 0;
  let failedUntil = Number.NEGATIVE_INFINITY;
  let lastProblem = "";
  let looking: Promise<RemoteJWKSet | undefined> | undefined;

  return {
    async verify(jwt, options) {
      const fetchesBefore = fetches;
      try {
        const keys = await load();
        refreshInBackground(keys);
        return await verifiedBy(keys, jwt, options);
      } catch (error) {
        return failure(error, fetches > fetchesBefore);
      }
    },
  };

  /** If the keys cannot be fetched any more, the issuer may have moved them. */
  async function verifiedBy(keys: RemoteJWKSet, jwt: string, options: JWTVerifyOptions): Promise<VerifyResult> {
    try {
      return verified(await verifyWith(keys, jwt, options));
    } catch (error) {
      const found = error instanceof KeysError ? await lookAgain() : undefined;
      if (found === undefined) throw error;
      return verified(await verifyWith(found, jwt, options));
    }
  }

  function load(): Promise<RemoteJWKSet> {
    remote ??= create().catch((error: unknown) => {
      remote = undefined;
      throw new KeysError(error);
    });
    return remote;
  }

  async function create(): Promise<RemoteJWKSet> {
    const url = config.jwks ?? (await discover());
    return createRemoteJWKSet(new URL(url), {
      cooldownDuration: config.cooldownMs,
      cacheMaxAge: Number.POSITIVE_INFINITY,
      timeoutDuration: timeoutSeconds * 1_000,
      [customFetch]: fetchKeys,
    });
  }

  async function discover(): Promise<string> {
    const { issuer, allowInsecure } = config;
    const customFetch = attempt as openid.CustomFetch;
    const options = { clientId: "bearerswap", customFetch, allowInsecure, timeoutSeconds, used: ["jwks_uri"] };
    const { jwks_uri } = (await discoverServer(issuer, options)).serverMetadata();
    if (jwks_uri === undefined) throw new Error("the issuer's metadata names no jwks_uri");
    return jwks_uri;
  }

  async function fetchKeys(url: string, options: RequestInit): Promise<Response> {
    const response = await attempt(url, options);
    if (response.status === 200) {
      fetches += 1;
      fetchedAt = clock.monotonicMs();
    }
    return response;
  }

  /** One request to the key server, unless one has just failed. */
  async function attempt(url: string, options: RequestInit): Promise<Response> {
    if (clock.monotonicMs() < failedUntil) throw new TooRecentError(lastProblem);
    try {
      const response = await fetch(url, options);
      if (response.status >= 500 || response.status === 429) throw new Error(`HTTP ${response.status} from ${url}`);
      onFetched(response.ok);
      return response;
    } catch (error) {
      onFetched(false);
      throw error;
    }
  }

  /**
   * Any answer that is neither keys nor metadata is a failure. Otherwise each unverified token would cause a request to
   * its issuer. It is logged once for each cool-down.
   */
  function coolDown(error: unknown): void {
    // What was not even asked for is no new failure, also where the time is over by now.
    if (clock.monotonicMs() < failedUntil || isTooRecent(error)) return;
    failedUntil = clock.monotonicMs() + failureCooldownMs;
    lastProblem = fetchProblem(error);
    log.warn(
      { event: "jwks_fetch", issuer: config.issuer, reason: lastProblem },
      "the issuer's keys cannot be fetched; those that are known stay in use",
    );
  }

  function refreshInBackground(keys: RemoteJWKSet): void {
    if (
      fetches === 0 ||
      keys.reloading ||
      clock.monotonicMs() - fetchedAt < maxAgeMs ||
      clock.monotonicMs() < failedUntil
    )
      return;
    keys.reload().catch((error: unknown) => (config.jwks === undefined ? void lookAgain() : coolDown(error)));
  }

  /**
   * Asks the issuer where its keys are now, once for all callers at the same time. Known keys stay in use until others
   * are there.
   */
  function lookAgain(): Promise<RemoteJWKSet | undefined> {
    if (config.jwks !== undefined || clock.monotonicMs() < failedUntil) return Promise.resolve(undefined);
    looking ??= create()
      .then(async (found) => {
        await found.reload();
        remote = Promise.resolve(found);
        return found;
      })
      .catch((error: unknown) => {
        coolDown(error);
        return undefined;
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }

  function failure(error: unknown, fetched: boolean): VerifyResult {
    const code = error instanceof errors.JOSEError ? error.code : undefined;
    if (code !== undefined && invalidCodes.has(code))
      return { kind: "invalid", why: foreignText(`${messageOf(error)}${claimOf(error)}`) };
    if (code === errors.JWKSNoMatchingKey.code || code === errors.JWKSMultipleMatchingKeys.code) {
      return fetched
        ? { kind: "invalid", why: "signed with an unknown key" }
        : {
            kind: "unavailable",
            why: "unknown key, fetched too recently to ask again",
            retryAfterMs: config.cooldownMs,
          };
    }
    // Only failures of the key server count: no token may keep the keys from being fetched.
    if (error instanceof KeysError) coolDown(error.cause);
    return {
      kind: "unavailable",
      why: `keys: ${fetchProblem(error instanceof KeysError ? error.cause : error)}`,
      retryAfterMs: failureCooldownMs,
    };
  }
}

/**
 * The audience or issuer that the token has in place of the expected one, for an operator to compare with the
 * configuration.
 */
function claimOf(error: unknown): string {
  if (!(error instanceof errors.JWTClaimValidationFailed) || (error.claim !== "aud" && error.claim !== "iss"))
    return "";
  const value = error.payload[error.claim];
  return value === undefined ? "" : `: ${JSON.stringify(value)}`;
}

function verified({ payload, protectedHeader }: JWTVerifyResult): VerifyResult {
  return { kind: "verified", payload, typ: protectedHeader.typ };
}

/** Thrown if the keys, or the metadata that say where they are, cannot be had. */
class KeysError extends Error {
  constructor(cause: unknown) {
    super("the keys cannot be had", { cause });
  }
}

/** Thrown in place of asking again. */
class TooRecentError extends Error {
  constructor(problem: string) {
    super(`fetched too recently to ask again: ${problem}`);
  }
}

function isTooRecent(error: unknown): boolean {
  return error instanceof TooRecentError || (error instanceof Error && isTooRecent(error.cause));
}

/** jose's codes for keys that are there and do not fit. */
const selectionCodes: ReadonlySet<string> = new Set([
  errors.JWKSNoMatchingKey.code,
  errors.JWKSMultipleMatchingKeys.code,
]);

/** The same keys, with a KeysError if they cannot be had, to tell that from what is wrong with a token. */
function toldApart(keys: RemoteJWKSet): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      const code = error instanceof errors.JOSEError ? error.code : "";
      throw invalidCodes.has(code) || selectionCodes.has(code) ? error : new KeysError(error);
    }
  };
}

/** If the token names no key, several may fit, and each is tried. */
async function verifyWith(keys: RemoteJWKSet, jwt: string, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(jwt, toldApart(keys), options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return await jwtVerify(jwt, key, options);
      } catch (inner) {
        if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}
