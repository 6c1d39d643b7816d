import { z } from "zod";
import { type SealingConfig, sealingKeyBytes } from "../stores/sealing.ts";
import { isStandIn } from "./stand-in.ts";
import { name, secret } from "./units.ts";

const keySchema = z.strictObject({
  id: name().describe("The key's name, in the clear in everything that it sealed. Never give it to another key."),
  key: secret()
    .refine(
      (key) => isStandIn(key.reveal()) || sealingKeyBytes(key.reveal()) !== undefined,
      "must be 256 bits in base64 or base64url: `bearerswap keys generate` makes one",
    )
    .describe("256 bits in base64 or base64url; `bearerswap keys generate` makes one."),
});

/** `store.encryption`: the keys that seal the tokens in Redis. */
export const encryptionSchema: z.ZodType<SealingConfig> = z.strictObject({
  keys: z
    .array(keySchema)
    .min(1, "must hold at least one key")
    .superRefine(distinctIds)
    .describe("The first key seals, all of them open."),
  allowPlain: z
    .boolean()
    .default(false)
    .describe("True: rows from before sealing are read too. Set it back to false once all rows are sealed."),
});

/** A sealed row names its key by the id alone, so that no two keys may have the same id. */
function distinctIds(keys: readonly { readonly id: string }[], context: Pick<z.core.$RefinementCtx, "addIssue">): void {
  for (const [at, { id }] of keys.entries()) {
    if (keys.findIndex((other) => other.id === id) < at)
      context.addIssue({ code: "custom", path: [at, "id"], message: `"${id}" is the id of another key` });
  }
}
