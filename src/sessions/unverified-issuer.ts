import { decodeJwt } from "jose";
import { foreignText } from "../platform/foreign-text.ts";

/** Whose a JWT says it is, before anybody has verified it; undefined where it is none, or does not say. */
export function unverifiedIssuer(jwt: string): string | undefined {
  try {
    return decodeJwt(jwt).iss;
  } catch {
    return undefined; // no JWT
  }
}

/** For the log: one that differs from the configured issuer by a slash is only found by comparing the two. */
export function namedIssuer(named: unknown): string {
  return named === undefined ? 'it has no "iss"' : `its "iss" is ${foreignText(JSON.stringify(named))}`;
}
