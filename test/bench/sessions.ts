import { randomBytes, randomUUID } from "node:crypto";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import type { JwtIssuer } from "../support/jwt-issuer.ts";
import { upstream } from "./requests.ts";

/** A session: its id, and what its requests carry. */
export interface BenchSession {
  readonly id: string;
  readonly bearer: string;
}

export const audience = "https://gateway.example.com";
/** Length of the access tokens, in characters: that of a usual JWT. */
export const accessTokenLength = 1_024;
/** Length of the refresh tokens, in characters. */
export const refreshTokenLength = 64;

/** Longer than any run, seconds. */
const lifeSeconds = 86_400;
/** Puts under way at once. */
const parallelPuts = 64;

/** Sessions told by JWTs of about 700 characters. */
export function jwtSessions(issuer: JwtIssuer, count: number): Promise<BenchSession[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const id = randomUUID();
      const bearer = await issuer.sign(claimsOf(id), { expiresIn: lifeSeconds });
      return { id, bearer };
    }),
  );
}

/** Sessions told by a random value of 256 bits. */
export function opaqueSessions(count: number): BenchSession[] {
  return Array.from({ length: count }, () => {
    const id = randomBytes(32).toString("base64url");
    return { id, bearer: id };
  });
}

export function bearersOf(sessions: readonly BenchSession[]): string[] {
  return sessions.map(({ bearer }) => bearer);
}

/**
 * Logs every session in: a refresh token, and an access token that outlives the run unless told otherwise.
 * @param subjectOf whose the session is; default: nobody's
 */
export async function putGrants(
  adminSocket: string,
  sessions: readonly BenchSession[],
  expiresIn = lifeSeconds,
  subjectOf: (session: BenchSession) => string = () => "",
): Promise<void> {
  const client = createGrantsClient({ address: { kind: "unix", path: adminSocket } });
  const waiting = sessions.values();
  const putAll = async () => {
    for (const session of waiting) {
      const subject = subjectOf(session);
      const token = tokenResponse(expiresIn);
      await client.put({ session: { source: "", id: session.id }, upstream, subject, token });
    }
  };
  await Promise.all(Array.from({ length: parallelPuts }, putAll));
  client.close();
}

function claimsOf(id: string) {
  const user = randomUUID();
  return {
    aud: audience,
    sub: user,
    tsid: id,
    jti: randomUUID(),
    client_id: "console",
    scope: "openid profile email accounts:read accounts:write contacts:read contacts:write",
    email: `${user.slice(0, 8)}@example.com`,
    roles: ["viewer", "editor"],
  };
}

function tokenResponse(expiresIn: number) {
  return {
    accessToken: randomText(accessTokenLength),
    refreshToken: randomText(refreshTokenLength),
    tokenType: "Bearer",
    expiresIn,
    scope: "accounts.read contacts.read",
  };
}

function randomText(length: number): string {
  return randomBytes(length).toString("base64url").slice(0, length);
}
