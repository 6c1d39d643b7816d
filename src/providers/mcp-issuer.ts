import { z } from "zod";
import { foreignText } from "../platform/foreign-text.ts";
import type { JsonObject } from "../platform/json-object.ts";
import { isUsable, type LearntFrom } from "./learnt-url.ts";
import { type MetadataRequestDeps, requestMetadata } from "./metadata-request.ts";

const words = z.array(z.string()).optional();

/** What is used of an authorization server's metadata (RFC 8414, OpenID Connect Discovery 1.0). */
const metadataShape = z.object({
  issuer: z.string(),
  authorization_endpoint: z.string(),
  token_endpoint: z.string(),
  registration_endpoint: z.string().optional(),
  revocation_endpoint: z.string().optional(),
  jwks_uri: z.string().optional(),
  scopes_supported: words,
  response_types_supported: words,
  grant_types_supported: words,
  code_challenge_methods_supported: words,
  token_endpoint_auth_methods_supported: words,
  token_endpoint_auth_signing_alg_values_supported: words,
  id_token_signing_alg_values_supported: words,
  client_id_metadata_document_supported: z.boolean().optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
});

/** An authorization server's metadata. Its URLs may be used, it is the issuer that was asked for, and it does PKCE. */
export type IssuerMetadata = Readonly<z.infer<typeof metadataShape>>;

const endpoints = [
  "authorization_endpoint",
  "token_endpoint",
  "registration_endpoint",
  "revocation_endpoint",
  "jwks_uri",
] as const;

/** The metadata of an issuer, or in words what is wrong with each place where they may be. */
export async function findIssuer(
  issuer: string,
  from: LearntFrom,
  deps: MetadataRequestDeps,
): Promise<{ readonly metadata: IssuerMetadata } | { readonly misses: readonly string[] }> {
  if (!isUsable(issuer, from) || new URL(issuer).search !== "")
    return { misses: [`"${foreignText(issuer)}" cannot be used as an issuer: it is no https URL without a query`] };
  const misses: string[] = [];
  for (const url of placesOf(issuer)) {
    const answer = await requestMetadata(url, deps);
    if (answer.kind === "found") {
      const read = readMetadata(answer.document, issuer, from);
      if (typeof read !== "string") return { metadata: read };
      misses.push(`${url}: ${read}`);
    } else misses.push(answer.why);
    // A server that does not answer is not asked twice.
    if (answer.kind === "broken") break;
  }
  return { misses };
}

/** RFC 8414 §3.1, then OpenID Connect: in the place that RFC 8414 §5 gives it, and in its own. */
function placesOf(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const [oauth, openid] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
  return [...new Set([`${origin}${oauth}${path}`, `${origin}${openid}${path}`, `${origin}${path}${openid}`])];
}

function readMetadata(document: JsonObject, issuer: string, from: LearntFrom): IssuerMetadata | string {
  const stated = Object.fromEntries(Object.entries(document).filter(([, value]) => value !== null));
  const { data, error } = metadataShape.safeParse(stated);
  if (data === undefined) {
    const { path = [], message = "" } = error.issues[0] ?? {};
    return `${path.join(".")} is missing, or not of its type (${message})`;
  }
  if (!isSameIssuer(data.issuer, issuer)) return `it is about another issuer, "${foreignText(data.issuer)}"`;
  const bad = endpoints.find((name) => data[name] !== undefined && !isUsable(data[name], from));
  if (bad !== undefined)
    return `its ${bad} "${foreignText(data[bad] ?? "")}" cannot be used: it is no https URL (allowInsecure allows http)`;
  if (data.response_types_supported?.includes("code") === false) return "it does not know the response type code";
  if (data.grant_types_supported?.includes("authorization_code") === false)
    return "it does not know the grant type authorization_code";
  if (!data.code_challenge_methods_supported?.includes("S256"))
    return "it does not announce PKCE with S256 (code_challenge_methods_supported), without which MCP allows no login";
  return data;
}

/** Whether two texts mean the same issuer: equal, but for the slash of an empty path. */
export function isSameIssuer(one: string, other: string): boolean {
  return plainIssuer(one) === plainIssuer(other);
}

/**
 * The issuer without the slash of an empty path. Servers leave it out in one place and write it in another, and one that
 * begins to write it is no other server.
 */
export function plainIssuer(issuer: string): string {
  const url = URL.parse(issuer);
  return url?.pathname === "/" && url.search === "" && url.hash === "" ? url.origin : issuer;
}
