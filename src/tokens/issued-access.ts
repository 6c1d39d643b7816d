import type { TokenResponse } from "../providers/token-response.ts";
import type { StoredAccess } from "./grant.ts";

/** A response's access token with the life it has left `elapsedMs` after it was asked for; undefined where the response holds none. */
export function issuedAccess({ accessToken, expiresInMs }: TokenResponse, elapsedMs: number): StoredAccess | undefined {
  if (accessToken === undefined) return undefined;
  if (expiresInMs === undefined) return { token: accessToken };
  return { token: accessToken, remainingMs: Math.max(expiresInMs - elapsedMs, 0), lifeMs: expiresInMs };
}
