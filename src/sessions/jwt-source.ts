import type { JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { asymmetricAlgorithms } from "../platform/jws-algorithms.ts";
import { Secret } from "../platform/secret.ts";
import type { CheckInput } from "./check-input.ts";
import { cookieCredential, ownCopy } from "./cookies.ts";
import { type Credential, headerCredential, type Place } from "./credential.ts";
import type { KeySet, VerifyResult } from "./key-set.ts";
import { type Identification, type Identified, identified, type SessionSource } from "./session.ts";
import type { SessionCache } from "./session-cache.ts";
import { namedIssuer, unverifiedIssuer } from "./unverified-issuer.ts";

/** One issuer whose tokens name sessions. */
export interface JwtIssuer {
  /** The source's name. */
  readonly name: string;
  readonly issuer: string;
  /** Its sessions are ToolHive's. */
  readonly isOfToolhive: true | undefined;
  /** The token's `aud` holds one of these. */
  readonly audience: readonly string[];
  /** The claim that is the session's id. */
  readonly claim: string;
  /** The claim that names the grant's owner, where sessions are bound to it. */
  readonly subject?: string | undefined;
  /** How far the issuer's clock may be off for `exp` and `nbf`, ms. */
  readonly clockToleranceMs: number;
  readonly keys: KeySet;
  /**
   * Called for each session whose token was verified, before it is let in. False if it has to be called again soon.
   * Never rejects.
   */
  readonly onVerified?: ((session: string, payload: JWTPayload) => Promise<boolean>) | undefined;
}

interface JwtSourceDeps {
  readonly from: Place;
  /** The issuers of tokens in that place. The unverified `iss` chooses one, and that one alone decides. */
  readonly issuers: readonly JwtIssuer[];
  readonly cache: SessionCache;
  /** Whether upstreams' tokens are minted for the sessions' own: those are kept with the session then. */
  readonly keepsTokens: boolean;
  readonly clock: Clock;
}

/** The key of a verified credential in the cache: its tail, with the whole to compare, or the credential itself. */
interface CachePlace {
  readonly key: string;
  readonly whole: string | undefined;
}

/** If `onVerified` has to be called again, the token is verified again after this, ms. */
const tellAgainMs = 5_000;

/** Asymmetric ones only: with an HMAC the public key would be the secret (RFC 8725 §2.1). */
export const algorithms = [...asymmetricAlgorithms, "Ed25519"];

/** Sessions named by a claim of a signed JWT (RFC 7519), verified once and remembered until it expires. */
export function createJwtSource({ from, issuers, cache, keepsTokens, clock }: JwtSourceDeps): SessionSource {
  const byIssuer = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  return {
    identify(input) {
      const tail = "cookie" in from ? undefined : input.tail(from.header);
      const known =
        tail === undefined || "cookie" in from
          ? undefined
          : cache.find(tail, (whole) => input.equals(from.header, whole));
      if (known !== undefined) return known;
      const raw = "cookie" in from ? undefined : input.header(from.header);
      const credential = credentialOf(input, raw);
      if (credential.kind !== "present") return credential;
      if (tail !== undefined && raw !== undefined) return verify(credential.value, { key: tail, whole: raw });
      return (
        cache.get(credential.value) ?? verify(credential.value, { key: ownCopy(credential.value), whole: undefined })
      );
    },
  };

  function credentialOf(input: CheckInput, raw: string | undefined): Credential {
    return "cookie" in from ? cookieCredential(from.cookie, input.cookies) : headerCredential(from.header, raw);
  }

  function verify(jwt: string, place: CachePlace): Identification | Promise<Identification> {
    const named = unverifiedIssuer(jwt);
    const issuer = byIssuer.get(named ?? "");
    return issuer === undefined
      ? { kind: "invalid", why: `no JWT of a configured issuer: ${namedIssuer(named)}` }
      : verifyAs(issuer, jwt, place);
  }

  async function verifyAs(issuer: JwtIssuer, jwt: string, place: CachePlace): Promise<Identification> {
    const result = await issuer.keys.verify(jwt, {
      algorithms,
      issuer: issuer.issuer,
      audience: [...issuer.audience],
      clockTolerance: issuer.clockToleranceMs / 1_000,
      currentDate: new Date(clock.wallMs()),
      requiredClaims: ["exp"],
    });
    if (result.kind !== "verified") return result;
    const { payload } = result;
    if (isLogoutToken(result)) return { kind: "invalid", why: "a logout token, which is no session" };
    const owner = issuer.subject === undefined ? undefined : { subject: payload[issuer.subject] };
    const found = identified({ ...issuer, kind: "jwt" }, payload[issuer.claim], owner);
    if (found.kind !== "identified") return found;
    const identification = keepsTokens ? withToken(found, jwt, payload) : found;
    const told = (await issuer.onVerified?.(identification.session.session, payload)) ?? true;
    const expiresAt = (payload.exp ?? 0) * 1_000 + issuer.clockToleranceMs;
    cache.set(
      place.key,
      identification,
      told ? expiresAt : Math.min(expiresAt, clock.wallMs() + tellAgainMs),
      place.whole,
    );
    return identification;
  }
}

function withToken({ kind, session }: Identified, jwt: string, { exp = 0, iat }: JWTPayload): Identified {
  const token = {
    id: digestOf(session.session, jwt),
    session: session.session,
    token: new Secret(jwt),
    expiresAt: exp * 1_000,
    issuedAt: iat && iat * 1_000,
  };
  return { kind, session: { ...session, subjectToken: token } };
}

/**
 * Whether a token is a logout token. Those are signed with the same keys, and may have no type of their own. Then only
 * `events` tells them from session tokens: logout tokens must have it, and others must not (OpenID Connect Back-Channel
 * Logout 1.0 §2.4).
 */
function isLogoutToken({ payload, typ }: VerifyResult & { readonly kind: "verified" }): boolean {
  return Object.hasOwn(payload, "events") || /^(?:application\/)?logout\+jwt$/i.test(typ ?? "");
}
