import { createHash } from "node:crypto";
import { Secret } from "../../src/platform/secret.ts";
import type { SealingConfig } from "../../src/stores/sealing.ts";

/** `store.encryption` with a key for each id, the same in every test; the first seals. */
export function keyRing(ids: readonly string[], { allowPlain = false } = {}): SealingConfig {
  return { keys: ids.map((id) => ({ id, key: new Secret(keyText(id)) })), allowPlain };
}

/** The key of that id, base64url. */
export function keyText(id: string): string {
  return createHash("sha256").update(id).digest("base64url");
}
