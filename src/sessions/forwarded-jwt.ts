import { LRUCache } from "lru-cache";
import { digestOf } from "../platform/digest.ts";
import { isObject, type JsonObject, parseObject } from "../platform/json-object.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { Secret } from "../platform/secret.ts";
import type { SubjectToken } from "../tokens/owner.ts";
import type { CheckInput } from "./check-input.ts";
import { cookieCredential, ownCopy } from "./cookies.ts";
import { headerCredential, type Place } from "./credential.ts";

/** The JWT that Envoy has verified and left in the request. */
export interface ForwardedJwt {
  /**
   * @param payload what Envoy has verified, as it stands in the metadata
   * @returns undefined where the request holds no JWT
   */
  of(input: CheckInput, session: string, payload: unknown): SubjectToken | { readonly invalid: string } | undefined;
}

interface Parsed {
  readonly jwt: string;
  readonly payload: JsonObject;
  readonly expiresAt: number;
  readonly issuedAt: number | undefined;
  /** The subject token of the session that came with it last: mostly there is no other. */
  made?: SubjectToken;
}

/** Three parts of base64url without padding (RFC 7515 §7.1): Envoy's filter reads other forms too. */
const compactSyntax = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

const notVerified = { invalid: "the JWT in the request is not the one that Envoy verified" };

/**
 * Nobody has verified the JWT that is in the place: Envoy may have verified another one, from another place that it
 * reads too, and a client may send any two. So it counts only if all that it says is what Envoy has verified: not only
 * issuer, session and user, since a client's other JWT may differ in its audience or in its end alone.
 *
 * A client can still forge the signature. That gives it no other identity, and the provider refuses the token. Subject
 * tokens are told apart by their claims, so that many forged signatures do not lead to many calls.
 */
export function createForwardedJwt(place: Place, maxEntries: number): ForwardedJwt {
  const known = new LRUCache<string, Parsed>(upTo(maxEntries));

  return {
    of(input, session, payload) {
      const credential =
        "cookie" in place
          ? cookieCredential(place.cookie, input.cookies)
          : headerCredential(place.header, input.header(place.header));
      if (credential.kind === "missing") return undefined;
      if (credential.kind === "invalid") return { invalid: credential.why };
      const parsed = known.get(credential.value, plainGet) ?? parsedFrom(credential.value);
      if (parsed === undefined) return { invalid: "the JWT in the request is none, or does not say when it ends" };
      if (!isObject(payload) || !saysTheSame(parsed.payload, payload)) return notVerified;
      if (parsed.made?.session !== session) parsed.made = subjectToken(session, parsed);
      // Only what was verified: whoever sends other things must not push out the JWTs of others.
      known.set(parsed.jwt, parsed);
      return parsed.made;
    },
  };
}

function parsedFrom(value: string): Parsed | undefined {
  const part = compactSyntax.exec(value)?.[2] ?? "";
  const payload = parseObject(Buffer.from(part, "base64url").toString("utf8"));
  const { exp, iat } = payload ?? {};
  if (payload === undefined || typeof exp !== "number") return undefined;
  const issuedAt = typeof iat === "number" ? iat * 1_000 : undefined;
  return { jwt: ownCopy(value), payload, expiresAt: exp * 1_000, issuedAt };
}

function subjectToken(session: string, { jwt, payload, expiresAt, issuedAt }: Parsed): SubjectToken {
  return { id: digestOf(session, canonical(payload)), session, token: new Secret(jwt), expiresAt, issuedAt };
}

/**
 * Whether a JWT's payload is what Envoy verified. A Struct holds numbers as doubles, so that of two whole numbers
 * beyond 2^53 it cannot be told whether they are equal. Where Envoy is told so (`normalize_payload_in_metadata`), a
 * text of words has become a list of them.
 */
function saysTheSame(own: unknown, verified: unknown): boolean {
  if (typeof own === "number") return own === verified && (!Number.isInteger(own) || Number.isSafeInteger(own));
  if (typeof own !== "object" || own === null) return own === verified;
  if (typeof verified !== "object" || verified === null || Array.isArray(own) !== Array.isArray(verified)) return false;
  const names = Object.keys(own);
  return (
    names.length === Object.keys(verified).length &&
    names.every((name) => {
      const [a, b] = [own, verified].map((each) => (each as JsonObject)[name]);
      return Object.hasOwn(verified, name) && (saysTheSame(a, b) || isWordsOf(a, b));
    })
  );
}

function isWordsOf(text: unknown, list: unknown): boolean {
  if (typeof text !== "string" || !Array.isArray(list)) return false;
  const words = text.split(" ").filter((word) => word !== "");
  return words.length === list.length && words.every((word, at) => word === list[at]);
}

/** One text for all JSON texts that say the same. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    isObject(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each,
  );
}
