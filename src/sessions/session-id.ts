import { hashSession, toolhiveSession } from "../stores/grant.ts";

/** The parts of a session source that decide what its ids look like. */
export type IdSource = { readonly isOfToolhive?: boolean | undefined } & (
  | { readonly kind: "jwt" | "metadata" | "opaque" | "cookie" }
  | { readonly kind: "principal"; readonly trustDomains: readonly string[] }
);

/** Under what name the grants of a session are kept. */
export function sessionOf(
  { name, isOfToolhive }: { readonly name: string; readonly isOfToolhive?: boolean | undefined },
  id: string,
): string {
  return isOfToolhive ? toolhiveSession(id) : hashSession(name, id);
}

/** In characters. Longer ids are refused, since they come from claims and metadata of others. */
const maxIdLength = 1_024;

/**
 * The least that 128 random bits take: 22 characters of base64url, 32 of hex. Percent-encoded values, such as those of
 * Better Auth, are taken as they are.
 */
const opaqueSyntax = /^[A-Za-z0-9._~+/=%-]{22,}$/;

/**
 * ToolHive's names of sessions are random texts. They are part of keys in Redis: with a colon or a brace in one, its keys
 * would be another session's, or in another slot of a cluster.
 */
const toolhiveSyntax = /^[!-9;-z|~]{1,200}$/;

/** Two random ids of 128 bits. */
const ownSyntax = /^[A-Za-z0-9_-]{44}$/;

/**
 * A claim that names something, as text. A whole number becomes its decimal digits, which is what issuers with numeric
 * user ids mean. Undefined for what names nothing: an empty text, a fraction, a number so large that JSON may have
 * changed it, and a text that is not Unicode (all such texts would have the same hash).
 */
export function nameText(value: unknown): string | undefined {
  if (typeof value === "string") return value !== "" && value.isWellFormed() ? value : undefined;
  return typeof value === "number" && Number.isSafeInteger(value) ? String(value) : undefined;
}

/** Why no request of that source can have this id; undefined if one can. Both Check and `grants put` ask this. */
export function idProblem(source: IdSource, id: string): string | undefined {
  if (id === "" || !id.isWellFormed()) return "the session id is empty, or no Unicode text";
  if (id.length > maxIdLength) return `the session id is longer than ${maxIdLength} characters`;
  if (source.isOfToolhive && (id === "idx" || !toolhiveSyntax.test(id)))
    return "the session id is no tsid of ToolHive's: 1 to 200 visible characters of ASCII other than : { }, and not idx";
  switch (source.kind) {
    case "jwt":
    case "metadata":
      return undefined;
    case "opaque":
      return opaqueSyntax.test(id)
        ? undefined
        : "the session id is no random value of 128 bits or more: 22 characters or more of A-Z a-z 0-9 . _ ~ + / = % -";
    case "cookie":
      return ownSyntax.test(id)
        ? undefined
        : "the session id is none that is issued here: 44 characters of A-Z a-z 0-9 _ -";
    case "principal":
      return isOfDomains(id, source.trustDomains) ? undefined : "the peer is of no listed trust domain";
    default:
      return source satisfies never;
  }
}

/** SPIFFE-ID §2. */
function isOfDomains(id: string, domains: readonly string[]): boolean {
  return domains.some((domain) => id.startsWith(`spiffe://${domain}/`) && id.length > `spiffe://${domain}/`.length);
}
