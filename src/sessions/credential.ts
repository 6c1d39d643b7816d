/** Where a session credential is in a request. */
export type Place = { readonly header: string } | { readonly cookie: string };

/** For people. */
export function placeName(place: Place): string {
  return "cookie" in place ? `cookie ${place.cookie}` : `header ${place.header}`;
}

/** What a place holds. `invalid` is a credential that can only be a mistake or a trick. */
export type Credential =
  | { readonly kind: "missing" }
  | { readonly kind: "invalid"; readonly why: string }
  | { readonly kind: "present"; readonly value: string };

/** Longer credentials are refused before any work is done on them, in characters. */
export const maxCredentialLength = 16_384;

export const missingCredential: Credential = { kind: "missing" };
/** Visible ASCII without comma: duplicates of a header arrive joined by one. */
const credentialSyntax = /^[\x21-\x2b\x2d-\x7e]+$/;
const bearerScheme = /^bearer(?:[ \t]+|$)/i;

/**
 * A credential in a header. In `authorization` it comes after `Bearer` (RFC 6750 §2.1), and another scheme is not our
 * credential. In other headers it is the value, with or without that word.
 */
export function headerCredential(name: string, value: string | undefined): Credential {
  if (value === undefined || value === "") return missingCredential;
  const scheme = bearerScheme.exec(value)?.[0];
  if (scheme === undefined && name === "authorization")
    return value.includes(",") && /bearer/i.test(value)
      ? invalidCredential("several credentials in one header")
      : missingCredential;
  return checkedCredential(value.slice(scheme?.length ?? 0));
}

/** What was found in a place, as a credential if its form is right. */
export function checkedCredential(value: string): Credential {
  if (value.length > maxCredentialLength) return invalidCredential(`longer than ${maxCredentialLength} characters`);
  if (!credentialSyntax.test(value))
    return invalidCredential(value === "" ? "empty" : "holds a comma, white space or a character that is not ASCII");
  return { kind: "present", value };
}

export function invalidCredential(why: string): Credential {
  return { kind: "invalid", why };
}

/** Cookies of our own that are no sessions. */
export interface OwnCookies {
  readonly names?: readonly string[] | undefined;
  /** What names of further cookies begin with. */
  readonly prefixes?: readonly string[] | undefined;
}

/** What must not reach an upstream, whatever the verdict. */
export interface Credentials {
  /** Lower-case names of headers. */
  readonly headers: ReadonlySet<string>;
  readonly cookies: ReadonlySet<string>;
  /** What names of further cookies begin with. */
  readonly cookiePrefixes?: readonly string[] | undefined;
}
