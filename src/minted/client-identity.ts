import { createPrivateKey, createPublicKey, scryptSync } from "node:crypto";
import { digestOf } from "../platform/digest.ts";
import type { Secret } from "../platform/secret.ts";
import type { ClientAuthConfig } from "../providers/client-auth.ts";

/**
 * Tells clients of one name apart by what proves that they are it: whoever has another secret or key shares no tokens
 * with this one. It goes into the names of records, so that a secret must not be guessed by it: hence the slow hash.
 */
export function clientIdentity(auth: ClientAuthConfig): string {
  switch (auth.method) {
    case "none":
    case "unsent":
      return auth.method;
    case "private_key_jwt":
      return keyIdentity(auth.key);
    case "client_secret_basic":
    case "client_secret_basic_raw":
    case "client_secret_post":
      return secretIdentity(auth.secret.reveal());
    default:
      return auth satisfies never;
  }
}

/** By a secret's digest; each costs some 50 ms of this process, and a client's upstreams and each reload ask again. */
const identities = new Map<string, string>();

function secretIdentity(secret: string): string {
  const digest = digestOf(secret);
  const known = identities.get(digest);
  if (known !== undefined) return known;
  const identity = scryptSync(secret, "bearerswap client", 32).toString("base64url");
  identities.set(digest, identity);
  return identity;
}

/** By the public key, which may be known. */
export function keyIdentity(pem: Secret): string {
  const key = createPublicKey(createPrivateKey(pem.reveal()));
  return digestOf(key.export({ type: "spki", format: "der" }).toString("base64url"));
}
