import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { StoredAccess } from "../stores/grant.ts";
import type { GrantRow } from "../stores/token-store.ts";

/**
 * A response's access token with the life it has left `elapsedMs` after it was asked for; undefined where the response
 * holds none. Where it states no life, `knownMs` counts: what is configured, or was stated before. Where nothing is
 * known, the token has no expiry: none is invented.
 */
export function issuedAccess(
  { accessToken, expiresInMs, lifeMs }: TokenResponse,
  elapsedMs: number,
  knownMs: number | undefined,
): StoredAccess | undefined {
  if (accessToken === undefined) return undefined;
  const leftMs = expiresInMs ?? knownMs;
  if (leftMs === undefined) return { token: accessToken };
  return {
    token: accessToken,
    remainingMs: Math.max(leftMs - elapsedMs, 0),
    lifeMs: expiresInMs === undefined ? leftMs : Math.max(lifeMs ?? 0, leftMs),
  };
}

/**
 * How long an access token lives where an answer does not say, ms: as configured, or as the login or an earlier answer
 * said; undefined where none of them says so.
 */
export function knownLifeMs({
  provider,
  row,
}: {
  readonly provider: Provider;
  readonly row: GrantRow;
}): number | undefined {
  return provider.accessTokenLifeMs ?? row.grant.accessLifeMs ?? row.access?.lifeMs;
}
