import { decodeJwt } from "jose";
import { foreignText } from "../platform/foreign-text.ts";

/** The issuer that a JWT names, before anybody has verified it; undefined if it is no JWT, or names none. */
export function unverifiedIssuer(jwt: string): string | undefined {
  try {
    return decodeJwt(jwt).iss;
  } catch {
    return undefined; // no JWT
  }
}

/** The issuer for the log, so that an operator can compare it with the configured one: often a slash differs. */
export function namedIssuer(named: unknown): string {
  return named === undefined ? 'it has no "iss"' : `its "iss" is ${foreignText(JSON.stringify(named))}`;
}
