import { Secret } from "../secret.ts";

/** A successful token response (RFC 6749 §5.1), read leniently: what a provider bends must not cost the user the rotated token. */
export interface TokenResponse {
  /** Absent where the response holds none that can be sent in a header. */
  readonly accessToken?: Secret | undefined;
  /** Absent where the provider keeps the old one: omitted, null or empty. */
  readonly refreshToken?: Secret | undefined;
  /** Life of the access token in ms from the response; absent where nothing is stated: then it has no expiry. */
  readonly expiresInMs?: number | undefined;
  /** Life of the refresh token in ms, where the provider states it (`refresh_expires_in`, `refresh_token_expires_in`). */
  readonly refreshExpiresInMs?: number | undefined;
  readonly scope?: string | undefined;
}

/** Visible ASCII and space: what RFC 6749 appendix A allows in a token, and what no header can be broken with. */
const accessTokenSyntax = /^[\x20-\x7e]+$/;
/** More than the RFC allows: a refresh token goes into a form, where everything is encoded, and dropping a rotated one costs the user the login. */
const refreshTokenSyntax = /^\P{Cc}+$/u;
/** Longer than any lifetime in use, ms; a longer one means as much, and stores take it. */
const longestMs = 10 * 365 * 86_400_000;

/** Reads the fields of a token response. Returns undefined where neither an access token nor a refresh token is in it. */
export function parseTokenResponse(body: Readonly<Record<string, unknown>>): TokenResponse | undefined {
  const accessToken = tokenField(body.access_token, accessTokenSyntax);
  const refreshToken = tokenField(body.refresh_token, refreshTokenSyntax);
  if (accessToken === undefined && refreshToken === undefined) return undefined;
  return {
    accessToken,
    refreshToken,
    expiresInMs: secondsField(body.expires_in),
    refreshExpiresInMs: secondsField(body.refresh_expires_in) ?? secondsField(body.refresh_token_expires_in),
    scope: typeof body.scope === "string" && body.scope !== "" ? body.scope : undefined,
  };
}

function tokenField(value: unknown, syntax: RegExp): Secret | undefined {
  return typeof value === "string" && syntax.test(value) ? new Secret(value) : undefined;
}

/** Seconds as a number or a decimal string, as ms. Anything else, also zero for "never" and negatives, states nothing. */
function secondsField(value: unknown): number | undefined {
  const seconds = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds > 0 ? Math.min(Math.round(seconds * 1000), longestMs) : undefined;
}
