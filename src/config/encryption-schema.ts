import { z } from "zod";
import { type SealingConfig, sealingKeyBytes } from "../stores/sealing.ts";
import { isStandIn } from "./stand-in.ts";
import { name, secret } from "./units.ts";

const keySchema = z.strictObject({
  id: name().meta({ description: "Stands in what the key sealed; never give it to another key" }),
  key: secret()
    .refine(
      (key) => isStandIn(key.reveal()) || sealingKeyBytes(key.reveal()) !== undefined,
      "must be 256 bits in base64 or base64url: `bearerswap keys generate` makes one",
    )
    .meta({ description: "256 bits, base64 or base64url: ${env:NAME} or ${file:/path}" }),
});

/** `store.encryption`: what seals the tokens in Redis. */
export const encryptionSchema: z.ZodType<SealingConfig> = z.strictObject({
  keys: z
    .array(keySchema)
    .min(1, "must hold at least one key")
    .superRefine(distinctIds)
    .meta({ description: "The first seals, all open" }),
  allowPlain: z
    .boolean()
    .default(false)
    .meta({ description: "Reads rows that are not sealed, while they are migrated" }),
});

/** A row names the id only: it must tell which key. */
function distinctIds(keys: readonly { readonly id: string }[], context: Pick<z.core.$RefinementCtx, "addIssue">): void {
  for (const [at, { id }] of keys.entries()) {
    if (keys.findIndex((other) => other.id === id) < at)
      context.addIssue({ code: "custom", path: [at, "id"], message: `"${id}" is the id of another key` });
  }
}
