import { decodeJwt, type JWTPayload } from "jose";
import type { Secret } from "../platform/secret.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
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
  const { exp, iat } = claims;
  if (exp === undefined) return before;
  return { token: idToken, until: iat === undefined ? exp * 1_000 : now + (exp - iat) * 1_000 };
}

/** Undefined for what is no signed JWT: an encrypted one can be read by nobody but its audience. */
function claimsOf(token: Secret): JWTPayload | undefined {
  try {
    return decodeJwt(token.reveal());
  } catch {
    return undefined;
  }
}
