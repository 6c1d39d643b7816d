import { randomUUID } from "node:crypto";
import { type CryptoKey, exportJWK, exportSPKI, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { type HttpServerOptions, sendJson, startHttpServer } from "./http-servers.ts";
import { nextKeyPair } from "./key-pairs.ts";

export type SigningAlgorithm = "RS256" | "PS256" | "ES256" | "EdDSA";

export interface SignOptions {
  /** Default: the issuer's algorithm. Another one is signed by a key of that kind, published too. */
  readonly alg?: SigningAlgorithm;
  /** Default: the signing key's own. Null leaves it out. */
  readonly kid?: string | null;
  /** Default JWT. Null leaves it out. */
  readonly typ?: string | null;
  /** Seconds from now, negative for an expired token, null for no `exp`. Default 300. */
  readonly expiresIn?: number | null;
  /** Sign with a key that was never published, under the published key's id. */
  readonly forged?: boolean;
}

export interface JwtIssuer {
  /** The `iss` of its tokens, also where it is reached. */
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly port: number;
  readonly jwksRequests: number;
  readonly discoveryRequests: number;
  /** Adds `iss`, `iat` and `exp`, which the claims may overrule. */
  sign(claims: JWTPayload, options?: SignOptions): Promise<string>;
  /** A token with `alg: none`. */
  unsigned(claims: JWTPayload): string;
  /** Replaces the keys; with `keepOld` (default false) the old ones stay published. */
  rotate(options?: { readonly keepOld?: boolean }): Promise<void>;
  /** Publishes a key set of the test's own; undefined goes back. */
  publish(keys: readonly JWK[] | undefined): void;
  /** Answers 503 until `up`. */
  down(): void;
  up(): void;
  /** PEM of the current public key, to be misused as an HMAC secret. */
  publicKeyPem(): Promise<string>;
  stop(): Promise<void>;
}

interface SigningKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

/**
 * An authorization server that signs JWTs and publishes its keys and metadata (OpenID Connect Discovery and RFC 8414).
 */
export async function startJwtIssuer({
  alg = "ES256",
  ...serverOptions
}: HttpServerOptions & { alg?: SigningAlgorithm } = {}): Promise<JwtIssuer> {
  let keys = [await newKey(alg)];
  let former: SigningKey[] = [];
  let published: readonly JWK[] | undefined;
  let isUp = true;
  let jwksRequests = 0;
  let discoveryRequests = 0;

  const server = await startHttpServer((request, response) => {
    const isJwks = request.url === "/jwks";
    if (isJwks) jwksRequests++;
    else if (request.url?.startsWith("/.well-known/")) discoveryRequests++;
    else return sendJson(response, 404, { error: "not_found" });
    if (!isUp) return sendJson(response, 503, { error: "temporarily_unavailable" });
    if (isJwks) return sendJson(response, 200, { keys: published ?? [...keys, ...former].map(({ jwk }) => jwk) });
    return sendJson(response, 200, metadata(server.url));
  }, serverOptions);

  async function keyFor(wanted: SigningAlgorithm): Promise<SigningKey> {
    const known = keys.find((key) => key.alg === wanted);
    if (known !== undefined) return known;
    const added = await newKey(wanted);
    keys = [...keys, added];
    return added;
  }

  async function sign(claims: JWTPayload, options: SignOptions = {}): Promise<string> {
    const key = await keyFor(options.alg ?? alg);
    const signer = options.forged ? await newKey(key.alg) : key;
    const kid = options.kid === undefined ? key.kid : options.kid;
    const { typ = "JWT" } = options;
    const header = { alg: key.alg, ...(typ === null ? {} : { typ }), ...(kid === null ? {} : { kid }) };
    return new SignJWT(payload(server.url, claims, options.expiresIn))
      .setProtectedHeader(header)
      .sign(signer.privateKey);
  }

  return {
    issuer: server.url,
    jwksUrl: `${server.url}/jwks`,
    port: server.port,
    get jwksRequests() {
      return jwksRequests;
    },
    get discoveryRequests() {
      return discoveryRequests;
    },
    sign,
    unsigned: (claims) => new UnsecuredJWT(payload(server.url, claims, undefined)).encode(),
    async rotate({ keepOld = false } = {}) {
      former = keepOld ? [...former, ...keys] : [];
      keys = [await newKey(alg)];
    },
    publish: (replacement) => void (published = replacement),
    down: () => void (isUp = false),
    up: () => void (isUp = true),
    publicKeyPem: async () => exportSPKI((await keyFor(alg)).publicKey),
    stop: server.stop,
  };
}

async function newKey(alg: SigningAlgorithm): Promise<SigningKey> {
  const kid = randomUUID();
  const { privateKey, publicKey } = await nextKeyPair(alg);
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

function payload(issuer: string, claims: JWTPayload, expiresIn: number | null = 300): JWTPayload {
  const now = Math.floor(Date.now() / 1000);
  return { iss: issuer, iat: now, ...(expiresIn === null ? {} : { exp: now + expiresIn }), ...claims };
}

function metadata(issuer: string) {
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    response_types_supported: ["code"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256", "ES256"],
  };
}
