import { type JsonObject, parseObject } from "../platform/json-object.ts";

/** What a refusal says, beside its word, that its user or their client can do something about. */
export interface RefusalHelp {
  /** The user, or their administrator, has to allow our client what it asks for. */
  readonly needsConsent?: boolean | undefined;
  /**
   * What the next token of the client has to be asked for with: a claims request (OpenID Connect Core §5.5), in base64.
   * Microsoft Entra sends one where a Conditional Access policy asks for more, and wants it handed to the client in
   * `WWW-Authenticate` ("OAuth 2.0 On-Behalf-Of flow: Error response example"; "Claims challenges").
   */
  readonly claims?: string | undefined;
  /** The provider's page about the error (RFC 6749 §5.2). */
  readonly errorUri?: string | undefined;
}

/** In characters. Entra's are some 150. */
const longestClaims = 4_096;
const longestUri = 2_048;

/**
 * Reads it from an answer without tokens. No provider is known to name a page there where its user could consent: what
 * comes nearest is `error_uri`. That a user is led to, and so it must be a page of the provider itself: https, and of
 * the origin that was asked or of the issuer.
 *
 * DocuSign and others say `consent_required`; Entra says `invalid_grant` with that as its `suberror`.
 * @param own where the provider was asked, and its issuer
 * @param isSafe whether a text repeats nothing that only the provider and we may know
 */
export function refusalHelp(
  json: JsonObject,
  own: readonly string[],
  isSafe: (text: string) => boolean,
): RefusalHelp | undefined {
  const needsConsent = json.error === "consent_required" || json.suberror === "consent_required";
  const safe = (text: unknown) => (typeof text === "string" && isSafe(text) ? text : undefined);
  const help = { needsConsent, claims: claimsIn(safe(json.claims)), errorUri: pageOf(safe(json.error_uri), own) };
  return needsConsent || help.claims !== undefined || help.errorUri !== undefined ? help : undefined;
}

function claimsIn(text: unknown): string | undefined {
  const isClaims = typeof text === "string" && text.length <= longestClaims && parseObject(text) !== undefined;
  return isClaims ? Buffer.from(text).toString("base64") : undefined;
}

function pageOf(uri: unknown, own: readonly string[]): string | undefined {
  if (typeof uri !== "string" || uri.length > longestUri) return undefined;
  const url = URL.parse(uri);
  if (url === null || url.protocol !== "https:" || url.username !== "" || url.password !== "") return undefined;
  return own.some((each) => URL.parse(each)?.origin === url.origin) ? url.href : undefined;
}
