import { hash, timingSafeEqual } from "node:crypto";

/**
 * SHA-256 of texts, joined by NUL, which none of them holds; base64url. It is stored in place of a value that a store
 * must not know.
 */
export function digestOf(...texts: readonly string[]): string {
  return hash("sha256", texts.join("\0"), "base64url");
}

/** Whether two texts are equal. The time it takes does not tell where they differ. */
export function equalSecrets(a: string, b: string): boolean {
  return timingSafeEqual(hash("sha256", a, "buffer"), hash("sha256", b, "buffer"));
}
