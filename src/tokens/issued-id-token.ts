import { decodeJwt, type JWTPayload } from "jose";
import type { Secret } from "../platform/secret.ts";
import type { Provider } from "../providers/provider.ts";
import { numberField, type TokenResponse } from "../providers/token-response.ts";
import type { KeptIdToken } from "../stores/grant.ts";

/**
 * The ID token to keep with a grant, where its provider's are kept: the response's, else the one before. Its life is
 * counted from now, so that it depends on no clock but ours.
 *
 * @param before of the same login. A refresh must be about the same user (OpenID Connect Core §12.2): an ID token about
 * another one is not kept.
 */
export function issuedIdToken(
  { idToken }: TokenResponse,
  { keepsIdToken = false }: Pick<Provider, "keepsIdToken">,
  now: number,
  before?: KeptIdToken,
): KeptIdToken | undefined {
  if (!keepsIdToken) return undefined;
  const claims = idToken && claimsOf(idToken);
  if (idToken === undefined || claims === undefined) return before;
  const known = before && claimsOf(before.token);
  if (known !== undefined && (known.sub !== claims.sub || known.iss !== claims.iss)) return before;
  const until = endOf(claims, now);
  return until === undefined ? before : { token: idToken, until };
}

/**
 * Epoch ms. Nobody has verified these claims, so that they may be of any type: an end that is no finite number would
 * make the whole row unreadable, and cost the login with its refresh token.
 */
function endOf({ exp, iat }: JWTPayload, now: number): number | undefined {
  const [end, start] = [numberField(exp), numberField(iat)];
  if (end === undefined) return undefined;
  const until = start === undefined ? end * 1_000 : now + (end - start) * 1_000;
  return Number.isFinite(until) ? until : undefined;
}

/** Undefined for what is no signed JWT: an encrypted one can be read by nobody but its audience. */
function claimsOf(token: Secret): JWTPayload | undefined {
  try {
    return decodeJwt(token.reveal());
  } catch {
    return undefined;
  }
}
