import { decodeProtectedHeader, type JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { isObject } from "../platform/json-object.ts";
import { algorithms } from "../sessions/jwt-source.ts";
import type { KeySet, VerifyResult } from "../sessions/key-set.ts";
import { nameText } from "../sessions/session-id.ts";

/** An issuer that may end sessions. */
interface LogoutIssuer {
  /** The source's name. */
  readonly name: string;
  readonly issuer: string;
  /** The logout token's `aud` holds one of these: as whom we are registered there. */
  readonly audience: readonly string[];
  readonly clockToleranceMs: number;
  readonly keys: KeySet;
}

/** Which sessions have ended: at least one of `sid` and `sub` is there. */
export interface LogoutToken {
  readonly sid: string | undefined;
  readonly sub: string | undefined;
  readonly jti: string;
  /** Its `iat`, epoch ms: when they ended, by the issuer's clock. */
  readonly issuedAt: number;
  /** How much longer the token would be accepted, ms. */
  readonly lifeMs: number;
}

export type LogoutTokenResult =
  | { readonly kind: "valid"; readonly token: LogoutToken }
  | Exclude<VerifyResult, { readonly kind: "verified" }>;

const event = "http://schemas.openid.net/event/backchannel-logout";
/**
 * How long after its `iat` a token without `exp` is accepted, s. Issuers should use two minutes at most (OpenID Connect
 * Back-Channel Logout 1.0 §2.4).
 */
const maxAgeSeconds = 300;

/**
 * Validates a logout token by OpenID Connect Back-Channel Logout 1.0 §2.6, except whether its `jti` was seen before.
 */
export async function verifyLogoutToken(
  jwt: string,
  { issuer, audience, clockToleranceMs, keys }: LogoutIssuer,
  clock: Clock,
): Promise<LogoutTokenResult> {
  if (!isTypedRight(jwt)) return { kind: "invalid", why: "typ is neither logout+jwt nor JWT" };
  const now = clock.wallMs();
  const currentDate = new Date(now);
  const result = await keys.verify(jwt, {
    algorithms,
    issuer,
    audience: [...audience],
    clockTolerance: clockToleranceMs / 1_000,
    currentDate,
  });
  if (result.kind !== "verified") return result;
  const { payload } = result;
  const why = wrongTimes(payload, now, clockToleranceMs) ?? wrongClaims(payload);
  if (why !== undefined) return { kind: "invalid", why };
  const { sid, sub, jti = "", iat = 0, exp = iat + maxAgeSeconds } = payload;
  return {
    kind: "valid",
    token: {
      ...{ sid: nameText(sid), sub: nameText(sub), jti, issuedAt: iat * 1_000 },
      lifeMs: Math.max(exp * 1_000 + clockToleranceMs - now, 1),
    },
  };
}

/**
 * Explicit typing keeps tokens of other kinds out (RFC 8725 §3.11). Issuers that are older than that recommendation set
 * no type, or `JWT` (Keycloak before 25).
 */
function isTypedRight(jwt: string): boolean {
  try {
    const { typ } = decodeProtectedHeader(jwt);
    return typ === undefined || /^(?:application\/)?(?:logout\+)?jwt$/i.test(typ);
  } catch {
    return true; // It is no JWT; the verification says so.
  }
}

function wrongTimes({ iat, exp }: JWTPayload, now: number, toleranceMs: number): string | undefined {
  if (typeof iat !== "number") return "iat is missing, or no number";
  if (iat * 1_000 > now + toleranceMs) return "iat is in the future";
  if (exp === undefined && (iat + maxAgeSeconds) * 1_000 + toleranceMs <= now)
    return "it has no exp, and its iat is too long ago";
  return undefined;
}

function wrongClaims({ events, nonce, jti, sid, sub }: JWTPayload): string | undefined {
  if (!isObject(events) || !Object.hasOwn(events, event) || !isObject(events[event]))
    return `events does not hold ${event}`;
  if (nonce !== undefined) return "nonce is there: it must not be taken for an ID token";
  if (typeof jti !== "string" || jti === "") return "jti is missing, or no text";
  if (sid === undefined && sub === undefined) return "sub and sid are missing: one has to be there";
  if ([sid, sub].some((claim) => claim !== undefined && nameText(claim) === undefined))
    return "sub or sid is no text and no whole number, or empty";
  return undefined;
}
