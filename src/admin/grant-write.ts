import type { Clock } from "../clock.ts";
import { BearerswapError } from "../error.ts";
import type { TokenResponse } from "../gen/bearerswap/grants/v1/grants.ts";
import { parseTokenResponse } from "../providers/token-response.ts";
import type { Random } from "../random.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import type { GrantLife, StoredAccess } from "../tokens/grant.ts";

/** Longer than any lifetime in use, ms; a longer one means as much. */
const longestMs = 10 * 365 * 86_400_000;

/** How long tokens live where a response does not say: the refresh token, and with it the grant; and the access token, which else has no expiry. */
export interface TokenLives {
  readonly refreshTokenLifeMs: number;
  readonly accessTokenLifeMs?: number | undefined;
}

/**
 * A login's outcome as the store takes it. `expires_at` (epoch s) wins over `expires_in`; a bare refresh token is refreshed at first use.
 * @throws BearerswapError `input`
 */
export function grantWrite(
  token: TokenResponse | undefined,
  subject: string,
  lives: TokenLives,
  { clock, random }: { clock: Clock; random: Random },
): GrantWrite {
  if (token === undefined) throw new BearerswapError("input", "the token response is missing");
  for (const [field, value] of [
    ["access_token", token.accessToken],
    ["refresh_token", token.refreshToken],
  ] as const) {
    if (value !== "" && parseTokenResponse({ [field]: value }) === undefined)
      throw new BearerswapError("input", `${field} holds a character that is not visible ASCII`);
  }
  if (token.tokenType !== "" && token.tokenType.toLowerCase() !== "bearer")
    throw new BearerswapError("input", `token_type is "${token.tokenType}": only Bearer tokens can be injected`);
  const tokens = parseTokenResponse({ access_token: token.accessToken, refresh_token: token.refreshToken, scope: token.scope });
  if (tokens === undefined) throw new BearerswapError("input", "the token response holds neither access_token nor refresh_token");
  const now = clock.wallMs();
  const grant = { refreshToken: tokens.refreshToken, scope: tokens.scope, subject: subject === "" ? undefined : subject, createdAt: now, refreshedAt: now };
  return { version: random.id(), grant, access: tokens.accessToken && accessOf(tokens.accessToken, token, now, lives), life: lifeOf(token, lives) };
}

function accessOf(accessToken: NonNullable<StoredAccess["token"]>, { expiresAt, expiresIn }: TokenResponse, now: number, lives: TokenLives): StoredAccess {
  const remainingMs = expiresAt === undefined ? (expiresIn === undefined ? lives.accessTokenLifeMs : expiresIn * 1_000) : expiresAt * 1_000 - now;
  if (remainingMs === undefined) return { token: accessToken };
  const lifeMs = Math.min(Math.max(remainingMs, 0), longestMs);
  return { token: accessToken, remainingMs: lifeMs, lifeMs };
}

function lifeOf({ refreshExpiresIn }: TokenResponse, { refreshTokenLifeMs }: TokenLives): GrantLife {
  if (refreshExpiresIn === undefined || refreshExpiresIn <= 0) return { ms: refreshTokenLifeMs, stated: false };
  return { ms: Math.min(refreshExpiresIn * 1_000, longestMs), stated: true };
}
