/** Where a session credential stands in a request. */
export type Place = { readonly header: string } | { readonly cookie: string };

/** What a place holds. `invalid` is a credential that can only be a mistake or a trick. */
export type Credential =
  | { readonly kind: "missing" }
  | { readonly kind: "invalid"; readonly why: string }
  | { readonly kind: "present"; readonly value: string };

/** Longer credentials are refused before any work is done on them, in characters. */
export const maxCredentialLength = 16_384;

const missing: Credential = { kind: "missing" };
/** Visible ASCII without comma: duplicates of a header arrive joined by one. */
const credentialSyntax = /^[\x21-\x2b\x2d-\x7e]+$/;
const bearerScheme = /^bearer(?:[ \t]+|$)/i;

/** A credential in a header: in `authorization` after `Bearer` (RFC 6750 §2.1), in others the value, with or without that word. Another scheme is none of ours. */
export function headerCredential(name: string, value: string | undefined): Credential {
  if (value === undefined || value === "") return missing;
  const scheme = bearerScheme.exec(value)?.[0];
  if (scheme === undefined && name === "authorization")
    return value.includes(",") && /bearer/i.test(value) ? invalid("several credentials in one header") : missing;
  return checked(value.slice(scheme?.length ?? 0));
}

/** A credential in a cookie. Two cookies of that name with different values are nobody's. */
export function cookieCredential(name: string, header: string | undefined): Credential {
  if (header === undefined) return missing;
  const values = new Set(header.split(cookieSeparator).flatMap((pair) => (cookieName(pair) === name ? [cookieValue(pair)] : [])));
  const [value] = values;
  if (value === undefined) return missing;
  return values.size > 1 ? invalid("several cookies of that name") : checked(value);
}

/** The `cookie` header without the named cookies: undefined where nothing is left. Commas part cookies too, as duplicates of the header are joined by them. */
export function withoutCookies(header: string, names: ReadonlySet<string>): string | undefined {
  const kept: string[] = [];
  for (const match of header.matchAll(/([^;,]*)([;,]?)/g)) {
    const [, pair = "", separator = ""] = match;
    if (!names.has(cookieName(pair))) kept.push(pair, separator);
  }
  const rest = kept.join("").replace(/^[\s;,]+|[\s;,]+$/g, "");
  return rest === "" ? undefined : rest;
}

const cookieSeparator = /[;,]/;

function cookieName(pair: string): string {
  const at = pair.indexOf("=");
  return (at === -1 ? "" : pair.slice(0, at)).trim();
}

function cookieValue(pair: string): string {
  return pair
    .slice(pair.indexOf("=") + 1)
    .trim()
    .replace(/^"(.*)"$/, "$1");
}

function checked(value: string): Credential {
  if (value.length > maxCredentialLength) return invalid(`longer than ${maxCredentialLength} characters`);
  if (!credentialSyntax.test(value)) return invalid(value === "" ? "empty" : "holds a comma, white space or a character that is not ASCII");
  return { kind: "present", value };
}

function invalid(why: string): Credential {
  return { kind: "invalid", why };
}
