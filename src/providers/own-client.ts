import { createPrivateKey, createPublicKey } from "node:crypto";
import { isIP } from "node:net";
import { isLoopback } from "../platform/loopback.ts";
import { specialKind } from "../platform/public-address.ts";
import type { Secret } from "../platform/secret.ts";
import type { ClientAuthConfig, SigningAlgorithm } from "./client-auth.ts";
import { clientDocumentUrl, type OwnPlace, redirectUriOf } from "./own-addresses.ts";

/** The key by which our client proves who it is at MCP servers (RFC 7523). All replicas have the same. */
export interface ClientKey {
  readonly privateKey: Secret;
  readonly algorithm: SigningAlgorithm;
  readonly keyId?: string | undefined;
}

/** What authorization servers are told of us, where nobody has registered us there. */
export interface OwnClient extends OwnPlace {
  /** Absent: a client without a secret, told by its redirect URIs and PKCE alone. */
  readonly clientKey?: ClientKey | undefined;
  /** What users read on a server's consent page. */
  readonly clientName: string;
  /** False: our client describes itself in no document, also where servers would read one. */
  readonly offersDocument: boolean;
}

/** How a client registers, or describes itself in a document (RFC 7591 §2). */
export type ClientMetadata = Readonly<Record<string, unknown>>;

/**
 * Our client's metadata.
 * @param upstreams whose redirect URIs it names
 */
export function clientMetadata(
  { clientKey, clientName, ...place }: OwnClient,
  upstreams: readonly string[],
  method: string,
): ClientMetadata {
  return {
    client_name: clientName,
    client_uri: place.publicUrl,
    redirect_uris: upstreams.map((upstream) => redirectUriOf(place, upstream)),
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: method,
    ...(method === "private_key_jwt" && clientKey !== undefined
      ? { token_endpoint_auth_signing_alg: clientKey.algorithm, jwks: { keys: [publicJwk(clientKey)] } }
      : {}),
  };
}

/**
 * The document that our client id is the address of (draft-ietf-oauth-client-id-metadata-document). It names all
 * upstreams, as there is one for all.
 */
export function clientDocument(own: OwnClient, upstreams: readonly string[]): ClientMetadata {
  const method = own.clientKey === undefined ? "none" : "private_key_jwt";
  return { client_id: clientDocumentUrl(own), ...clientMetadata(own, upstreams, method) };
}

/** How our client proves who it is where it is known by its document. */
export function documentAuth({ clientKey }: Pick<OwnClient, "clientKey">): ClientAuthConfig {
  return clientKey === undefined ? { method: "none" } : keyAuth(clientKey);
}

export function keyAuth({ privateKey: key, algorithm, keyId }: ClientKey): ClientAuthConfig {
  return { method: "private_key_jwt", key, algorithm, keyId };
}

/**
 * Whether other servers can read our document: its address is https, and neither on this machine nor in a private
 * network by its form. Names are not looked up, since what they lead to here says little about elsewhere.
 */
export function isPublicPlace({ publicUrl }: Pick<OwnPlace, "publicUrl">): boolean {
  const { protocol, hostname } = new URL(publicUrl);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (protocol !== "https:" || isLoopback(host)) return false;
  return isIP(host) === 0 ? publicName.test(host) : specialKind(host) === undefined;
}

/** A name with a dot, and without one of the endings that are kept for private networks (RFC 6762, RFC 8375, ICANN). */
const publicName = /^(?!.*\.(?:local|internal|home\.arpa|localhost)\.?$).+\..+$/;

function publicJwk({ privateKey, algorithm, keyId }: ClientKey): ClientMetadata {
  const jwk = createPublicKey(createPrivateKey(privateKey.reveal())).export({ format: "jwk" });
  return { ...jwk, use: "sig", alg: algorithm, ...(keyId === undefined ? {} : { kid: keyId }) };
}
