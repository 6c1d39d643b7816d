import { Secret } from "../platform/secret.ts";

/**
 * A successful token response (RFC 6749 §5.1). It is read leniently, since a mistake of the provider must not cost the
 * user the rotated token.
 */
export interface TokenResponse {
  /** Absent where the response holds none that can be sent in a header. */
  readonly accessToken?: Secret | undefined;
  /** Absent where the provider keeps the old one: omitted, null or empty. */
  readonly refreshToken?: Secret | undefined;
  /** Life that the access token has left, ms, 0 where it is over; absent where nothing is stated. */
  readonly expiresInMs?: number | undefined;
  /**
   * The whole life that the provider gives access tokens, ms, as far as this response tells: it counts for later ones
   * that state none.
   */
  readonly lifeMs?: number | undefined;
  /**
   * Life of the refresh token in ms, where the provider states it (`refresh_expires_in`, `refresh_token_expires_in`).
   */
  readonly refreshExpiresInMs?: number | undefined;
  /** Space-separated. */
  readonly scope?: string | undefined;
  readonly tokenType?: string | undefined;
  /** What a token exchange gave (RFC 8693 §2.2.1). */
  readonly issuedTokenType?: string | undefined;
  /** Who the user is, in the provider's words (OpenID Connect Core §2): as it came, not verified. */
  readonly idToken?: Secret | undefined;
}

/**
 * Where a response comes from. `answer`: from the provider just now. `copy`: from somebody who handed it on, perhaps
 * long after the provider gave it, so that an end counts for more than a duration, and no life left means that it is
 * over.
 */
export type ResponseOrigin = "answer" | "copy";

/** Visible ASCII and space: what RFC 6749 appendix A allows in a token, and what no header can be broken with. */
const accessTokenSyntax = /^[\x20-\x7e]+$/;
/**
 * More than the RFC allows: a refresh token goes into a form, where everything is encoded, and dropping a rotated one
 * costs the user the login.
 */
const refreshTokenSyntax = /^\P{Cc}+$/u;
/** Longer than any lifetime in use, ms. A longer one is cut to it, so that stores can take it. */
const longestMs = 10 * 365 * 86_400_000;
/**
 * If a token ends sooner than this, ms, its end says little about the whole life of tokens. If it were taken for the
 * whole life, tokens would be refreshed all the time.
 */
const shortestTellingMs = 60_000;

/**
 * Reads the fields of a token response; nothing else does. Returns undefined if it holds neither an access token nor a
 * refresh token.
 */
export function parseTokenResponse(
  body: Readonly<Record<string, unknown>>,
  wallMs: number,
  origin: ResponseOrigin = "answer",
): TokenResponse | undefined {
  const accessToken = tokenField(body.access_token, accessTokenSyntax);
  const refreshToken = isGarbled(body.refresh_token) ? undefined : tokenField(body.refresh_token, refreshTokenSyntax);
  if (accessToken === undefined && refreshToken === undefined) return undefined;
  return {
    accessToken,
    refreshToken,
    ...accessLife(body, wallMs, origin),
    refreshExpiresInMs: lifeField(body.refresh_expires_in) ?? lifeField(body.refresh_token_expires_in),
    scope: scopeField(body.scope),
    tokenType: textField(body.token_type),
    issuedTokenType: textField(body.issued_token_type),
    idToken: tokenField(body.id_token, accessTokenSyntax),
  };
}

/**
 * Whether a refresh token is stated that cannot be used: it is no text, has control characters, or has the character
 * that stands for bytes that were not UTF-8. The token that was meant cannot be known. To present this one would be to
 * present another token, and to store it would be to replace a good one. The old token may be no good either, as the
 * provider may have rotated it.
 */
export function isGarbled(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return false;
  return (
    typeof value !== "string" || value.includes("\ufffd") || !value.isWellFormed() || !refreshTokenSyntax.test(value)
  );
}

/**
 * Whether a token of this type can be sent as a bearer token (RFC 6750). Slack says `user` or `bot` in its place.
 * Without a type it is taken for one.
 */
export function isBearerType(type: unknown): boolean {
  return (
    type === undefined ||
    type === null ||
    type === "" ||
    (typeof type === "string" && /^(?:bearer|user|bot)$/i.test(type))
  );
}

/** A finite number, also as a text; undefined for anything else. */
export function numberField(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/**
 * An instant as epoch ms: epoch seconds, epoch ms (from 10^11 on), each also as a text, or a date as in RFC 3339, in
 * UTC where it names no zone.
 */
export function instantField(value: unknown): number | undefined {
  const number = numberField(value);
  if (number !== undefined) return number >= 1e11 ? number : number * 1_000;
  if (typeof value !== "string" || value.length > 64) return undefined;
  const date = Date.parse(/\d:\d\d(?:\.\d+)?$/.test(value) && !/[+-]\d\d:\d\d$/.test(value) ? `${value}Z` : value);
  return Number.isNaN(date) ? undefined : date;
}

/** Scopes as one text, separated by spaces, also from a list. */
export function scopeField(value: unknown): string | undefined {
  const text = Array.isArray(value) && value.every((one) => typeof one === "string") ? value.join(" ") : value;
  return typeof text === "string" && text !== "" ? text : undefined;
}

function accessLife(
  body: Readonly<Record<string, unknown>>,
  wallMs: number,
  origin: ResponseOrigin,
): Pick<TokenResponse, "expiresInMs" | "lifeMs"> {
  const statedMs = lifeField(body.expires_in);
  const isOver = origin === "copy" && (numberField(body.expires_in) ?? 1) <= 0;
  const until = instantField(body.expires_at);
  // In a provider's answer such numbers mean "never".
  const leftMs =
    until === undefined || (until <= 0 && origin === "answer")
      ? undefined
      : Math.min(Math.max(until - wallMs, 0), longestMs);
  const inMs = isOver ? 0 : statedMs;
  return {
    // Counted from now, a duration depends on no clock but ours.
    expiresInMs: origin === "answer" ? (inMs ?? leftMs) : (leftMs ?? inMs),
    lifeMs: statedMs ?? (leftMs !== undefined && leftMs >= shortestTellingMs ? leftMs : undefined),
  };
}

function textField(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function tokenField(value: unknown, syntax: RegExp): Secret | undefined {
  return typeof value === "string" && syntax.test(value) ? new Secret(value) : undefined;
}

/**
 * Seconds as a number or a decimal string, as ms. Anything else, also zero for "never" and negatives, states nothing.
 */
function lifeField(value: unknown): number | undefined {
  const seconds = numberField(value);
  return seconds !== undefined && seconds > 0 ? Math.min(Math.round(seconds * 1000), longestMs) : undefined;
}
