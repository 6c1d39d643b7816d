import { type GrantsClient, grantStates } from "../admin/grants-client.ts";

export type Grant = NonNullable<Awaited<ReturnType<GrantsClient["get"]>>["grant"]>;

export function jsonOf({ state, ...grant }: Grant) {
  return { ...grant, state: grantStates[state] ?? "unknown" };
}

/** A grant as a line for people, without its upstream's name. */
export function lineOf(grant: Grant): string {
  const access = grant.hasAccessToken
    ? `access token ${grant.accessTokenExpiresInMs === undefined ? "without expiry" : `for ${seconds(grant.accessTokenExpiresInMs)}`}`
    : "no access token";
  const isHeld = grant.state === 1 || grant.state === 2;
  const { lastUsedAt } = grant;
  const used = lastUsedAt === undefined ? "not used yet" : `last used ${new Date(lastUsedAt).toISOString()}`;
  const parts = [
    grantStates[grant.state] ?? "unknown",
    grant.why && `(${grant.why})`,
    grant.isSecret ? "secret" : isHeld ? access : "",
    grant.isSecret ? used : !isHeld ? "" : grant.hasRefreshToken ? "refresh token" : "no refresh token",
    grant.failingForMs === undefined ? "" : `refreshes failing for ${seconds(grant.failingForMs)}`,
    grant.expiresInMs === undefined ? "" : `kept for ${seconds(grant.expiresInMs)}`,
    grant.subject && `subject ${grant.subject}`,
    grant.scope && `scope "${grant.scope}"`,
  ].filter((part) => part !== "");
  return parts.join(", ");
}

/** Which grant it is, where there are several sessions. */
export function placeOf(
  place: { readonly source: string; readonly session: string; readonly upstream: string } | undefined,
): string {
  return place === undefined ? "unknown" : `${place.upstream} (session ${place.session} of ${place.source})`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1_000)}s`;
}
