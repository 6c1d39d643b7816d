import type { TokenResponse } from "../gen/bearerswap/grants/v1/grants.ts";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Random } from "../platform/random.ts";
import { isBearerType, parseTokenResponse } from "../providers/token-response.ts";
import type { GrantLife } from "../stores/grant.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import { issuedAccess } from "../tokens/issued-access.ts";

/**
 * How long tokens live where a response does not say: the refresh token, and with it the grant, and the access token.
 * Without a life for it, such an access token has no expiry.
 */
export interface TokenLives {
  readonly refreshTokenLifeMs: number;
  readonly accessTokenLifeMs?: number | undefined;
}

/**
 * What a login's token response puts into the store. It is read as a provider's own answers are: `expires_at` wins over
 * `expires_in`. A bare refresh token is refreshed at its first use.
 * @throws BearerswapError `input`
 */
export function grantWrite(
  token: TokenResponse | undefined,
  subject: string,
  lives: TokenLives,
  { clock, random }: { clock: Clock; random: Random },
): GrantWrite {
  if (token === undefined) throw new BearerswapError("input", "the token response is missing");
  const now = clock.wallMs();
  for (const [field, value, allowed] of [
    ["access_token", token.accessToken, "is not visible ASCII"],
    ["refresh_token", token.refreshToken, "is a control character or was not UTF-8"],
  ] as const) {
    if (value !== "" && parseTokenResponse({ [field]: value }, now) === undefined)
      throw new BearerswapError("input", `${field} holds a character that ${allowed}`);
  }
  if (!isBearerType(token.tokenType))
    throw new BearerswapError("input", `token_type is "${token.tokenType}": only Bearer tokens can be injected`);
  const tokens = parseTokenResponse(fieldsOf(token), now, "copy");
  if (tokens === undefined)
    throw new BearerswapError("input", "the token response holds neither access_token nor refresh_token");
  const { refreshToken, scope, lifeMs } = tokens;
  const grant = {
    refreshToken,
    scope,
    accessLifeMs: lifeMs,
    subject: subject === "" ? undefined : subject,
    createdAt: now,
    refreshedAt: now,
  };
  return {
    version: random.id(),
    grant,
    access: issuedAccess(tokens, 0, lives.accessTokenLifeMs),
    life: lifeOf(tokens, lives),
  };
}

function fieldsOf({
  accessToken,
  refreshToken,
  scope,
  expiresIn,
  expiresAt,
  refreshExpiresIn,
}: TokenResponse): Record<string, unknown> {
  return {
    access_token: accessToken,
    refresh_token: refreshToken,
    scope,
    expires_in: expiresIn,
    expires_at: expiresAt,
    refresh_expires_in: refreshExpiresIn,
  };
}

function lifeOf(
  { refreshExpiresInMs }: { readonly refreshExpiresInMs?: number | undefined },
  { refreshTokenLifeMs }: TokenLives,
): GrantLife {
  return { ms: refreshExpiresInMs ?? refreshTokenLifeMs, stated: refreshExpiresInMs !== undefined };
}
