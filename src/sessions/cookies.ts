import { isUtf8 } from "node:buffer";
import { type Credential, checkedCredential, invalidCredential, missingCredential } from "./credential.ts";

/**
 * A credential in a cookie. `header` holds one character for each byte.
 *
 * Pairs are parted by `;`, blanks around a pair are SP and HTAB, and names are compared as bytes (RFC 6265bis §4.2.1):
 * so that what a browser keeps under another name is never read as this one. A site next door may set the cookies
 * `a=b,__Host-session=…` and, in front of the same name, U+00A0 or U+2000 for the whole domain: read as
 * `__Host-session`, they would put its own session in the place of the user's. A value ends at a comma, where Envoy may
 * have joined another line of HTTP/1, but no name begins there.
 *
 * Two cookies of that name with different values are nobody's.
 */
export function cookieCredential(name: string, header: string | undefined): Credential {
  if (header === undefined) return missingCredential;
  let value: string | undefined;
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + name.length)) {
    const equalsAt = at + name.length;
    if (header[equalsAt] !== "=" || !beginsPair(header, at)) continue;
    const found = valueFrom(header, equalsAt + 1);
    if (value !== undefined && value !== found) return invalidCredential("several cookies of that name");
    value = found;
  }
  return value === undefined ? missingCredential : checkedCredential(value);
}

/**
 * The `cookie` header without the named cookies and those whose names begin so, as text for an answer; undefined where
 * nothing is left. `header` holds one character for each byte.
 *
 * Removes more than {@link cookieCredential} reads: names behind a comma too, and whatever else than visible ASCII
 * surrounds a name, as the API may read it that way. A cookie that is no UTF-8 is left out as well: Envoy takes no such
 * text in an answer.
 */
export function withoutCookies(
  header: string,
  names: ReadonlySet<string>,
  prefixes: readonly string[] = [],
): string | undefined {
  const kept = header
    .split(";")
    .map((pair) => withoutNamed(pair, names, prefixes))
    .filter((pair) => pair !== undefined && isText(pair))
    .join(";");
  const rest = trimmed(kept, isBetweenCookies);
  return rest === "" ? undefined : textOf(rest);
}

/** Undefined where the pair is a named cookie, and nothing else is joined to it by a comma. */
function withoutNamed(pair: string, names: ReadonlySet<string>, prefixes: readonly string[]): string | undefined {
  const pieces = pair.split(",");
  const kept = pieces.filter((piece) => !isNamed(nameOf(piece), names, prefixes));
  if (kept.length === pieces.length) return pair;
  return kept.every((piece) => trimmed(piece, isBlank) === "") ? undefined : kept.join(",");
}

function isNamed(name: string, names: ReadonlySet<string>, prefixes: readonly string[]): boolean {
  return names.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

function nameOf(piece: string): string {
  const at = piece.indexOf("=");
  return at === -1 ? "" : trimmed(piece.slice(0, at), isNotVisible);
}

function beginsPair(header: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && isBlank(header.charCodeAt(before))) before -= 1;
  return before < 0 || header[before] === ";";
}

function valueFrom(header: string, from: number): string {
  const end = header.indexOf(";", from);
  const [value = ""] = header.slice(from, end === -1 ? undefined : end).split(",", 1);
  const bare = trimmed(value, isBlank);
  return bare.length > 1 && bare.startsWith('"') && bare.endsWith('"') ? bare.slice(1, -1) : bare;
}

/**
 * By a loop: a pattern for the end of a text is tried at each of its places, and takes a time that grows with the
 * square of what a stranger sends.
 */
function trimmed(text: string, isOutside: (code: number) => boolean): string {
  let [from, to] = [0, text.length];
  while (from < to && isOutside(text.charCodeAt(from))) from += 1;
  while (to > from && isOutside(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function isBetweenCookies(code: number): boolean {
  return isBlank(code) || code === 0x3b || code === 0x2c;
}

function isNotVisible(code: number): boolean {
  return code <= 0x20 || code >= 0x7f;
}

const notAscii = /[\x80-\xff]/;

function isText(bytes: string): boolean {
  return !notAscii.test(bytes) || isUtf8(Buffer.from(bytes, "latin1"));
}

function textOf(bytes: string): string {
  return notAscii.test(bytes) ? Buffer.from(bytes, "latin1").toString("utf8") : bytes;
}

/**
 * The same text, in memory of its own. What is cut out of a header otherwise keeps all of that header, 60 KB perhaps,
 * for as long as itself.
 */
export function ownCopy(text: string): string {
  return Buffer.from(text).toString();
}
