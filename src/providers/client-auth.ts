import { createPrivateKey, X509Certificate } from "node:crypto";
import * as openid from "openid-client";
import { BearerswapError } from "../platform/error.ts";
import { asymmetricAlgorithms } from "../platform/jws-algorithms.ts";
import type { Secret } from "../platform/secret.ts";

/** How we prove to the token endpoint who we are (RFC 6749 §2.3, RFC 7523 §2.2). */
export type ClientAuthConfig =
  | {
      /**
       * `client_secret_basic_raw` is Basic without the percent-encoding of RFC 6749 §2.3.1, for servers that do not
       * decode.
       */
      readonly method: "client_secret_basic" | "client_secret_basic_raw" | "client_secret_post";
      readonly secret: Secret;
    }
  | {
      readonly method: "private_key_jwt";
      readonly key: Secret;
      readonly keyId?: string | undefined;
      readonly algorithm: SigningAlgorithm;
      /** PEM, of the key. With it the assertion names the certificate by its thumbprints, as Entra wants it. */
      readonly certificate?: string | undefined;
      /**
       * `keyId` is the certificate's SHA-1 thumbprint, if it looks like one: then it is sent as `x5t` too, and the
       * certificate itself need not be at hand.
       */
      readonly idIsThumbprint?: boolean | undefined;
    }
  | { readonly method: "none" }
  /** Not even a client id is sent: the assertion in the request says who asks (RFC 7523 §2.1). */
  | { readonly method: "unsent" };

/** JWS algorithms for `private_key_jwt`. */
export const signingAlgorithms = asymmetricAlgorithms;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

/** The openid-client form of a client authentication. */
export function clientAuthOf(config: ClientAuthConfig): openid.ClientAuth {
  switch (config.method) {
    case "client_secret_basic":
      return basic(config.secret, formEncoded);
    case "client_secret_post":
      return openid.ClientSecretPost(config.secret.reveal());
    case "client_secret_basic_raw":
      return basic(config.secret, (text) => text);
    case "private_key_jwt": {
      const key = importSigningKey(config.key, config.algorithm);
      const fromId = config.idIsThumbprint ? { x5t: thumbprintIn(config.keyId) } : {};
      const thumbprints = config.certificate === undefined ? fromId : thumbprintsOf(config.certificate, config.key);
      return openid.PrivateKeyJwt(config.keyId === undefined ? key : { key, kid: config.keyId }, {
        // openid-client would write Ed25519 (RFC 9864), which servers that know EdDSA (RFC 8037) may not.
        [openid.modifyAssertion]: (header) => {
          Object.assign(header, { alg: config.algorithm }, thumbprints);
        },
      });
    }
    case "none":
      return openid.None();
    case "unsent":
      return () => {};
    default:
      return config satisfies never;
  }
}

/**
 * Reads a PEM private key (PKCS #8, PKCS #1 or SEC 1) for one algorithm.
 * @throws BearerswapError `config` where it is no private key or does not fit the algorithm
 */
export function importSigningKey(pem: Secret, algorithm: SigningAlgorithm): openid.CryptoKey {
  try {
    return createPrivateKey(pem.reveal()).toCryptoKey(keyAlgorithm(algorithm), false, ["sign"]) as openid.CryptoKey;
  } catch {
    // The cause would quote the key.
    throw new BearerswapError("config", `is not a PEM private key for ${algorithm}`);
  }
}

/**
 * The JWS header fields that name a certificate (RFC 7515 §4.1.7 and §4.1.8). Of a chain in one file the first is
 * meant, which is the client's own.
 * @throws BearerswapError `config` where it is no PEM certificate or belongs to another key
 */
export function thumbprintsOf(certificate: string, key: Secret): { readonly x5t: string; readonly "x5t#S256": string } {
  const parsed = parseCertificate(certificate);
  if (!parsed.checkPrivateKey(createPrivateKey(key.reveal())))
    throw new BearerswapError("config", "belongs to another key than privateKey");
  return { x5t: fromHex(parsed.fingerprint), "x5t#S256": fromHex(parsed.fingerprint256) };
}

/** A thumbprint, given in hexadecimal as consoles show it, or as the header has it; undefined if it is neither. */
function thumbprintIn(keyId = ""): string | undefined {
  if (/^[0-9a-f]{40}$/i.test(keyId)) return fromHex(keyId);
  return /^[\w-]{27}$/.test(keyId) ? keyId : undefined;
}

function fromHex(fingerprint: string): string {
  return Buffer.from(fingerprint.replaceAll(":", ""), "hex").toString("base64url");
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    // The cause would say in OpenSSL's words what the next line says.
    throw new BearerswapError("config", "is not a PEM certificate");
  }
}

function keyAlgorithm(algorithm: SigningAlgorithm): { name: string; hash?: string; namedCurve?: string } {
  const bits = algorithm.slice(2);
  if (algorithm === "EdDSA") return { name: "Ed25519" };
  if (algorithm.startsWith("ES")) return { name: "ECDSA", namedCurve: `P-${bits === "512" ? "521" : bits}` };
  return { name: algorithm.startsWith("PS") ? "RSA-PSS" : "RSASSA-PKCS1-v1_5", hash: `SHA-${bits}` };
}

/** Encodes id and secret, each by itself, before they are joined (RFC 6749 §2.3.1). */
function basic(secret: Secret, encoded: (text: string) => string): openid.ClientAuth {
  return (_server, client, _body, headers) => {
    headers.set("authorization", basicCredentials(encoded(client.client_id), encoded(secret.reveal())));
  };
}

/** The value of `authorization` for Basic authentication (RFC 7617). */
export function basicCredentials(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
}

/**
 * application/x-www-form-urlencoded as RFC 6749 appendix B has it: letters, digits and `* - . _` stay as they are.
 * openid-client encodes those four too, and a server that does not decode then refuses every id or secret that is a
 * UUID or base64url.
 */
function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}
