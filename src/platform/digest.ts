import { hash, timingSafeEqual } from "node:crypto";

/** SHA-256 of texts that hold no NUL, parted by one; base64url. What is kept of a value that a store should not know. */
export function digestOf(...texts: readonly string[]): string {
  return hash("sha256", texts.join("\0"), "base64url");
}

/** Whether two texts are equal, in a time that does not tell where they differ. */
export function equalSecrets(a: string, b: string): boolean {
  return timingSafeEqual(hash("sha256", a, "buffer"), hash("sha256", b, "buffer"));
}
