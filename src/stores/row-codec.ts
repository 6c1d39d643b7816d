import { z } from "zod";
import { BearerswapError } from "../error.ts";
import { Secret } from "../secret.ts";
import type { Grant, StoredAccess } from "../tokens/grant.ts";

const secret = z.string().transform((value) => new Secret(value));
const grantSchema = z.object({
  refreshToken: secret.optional(),
  scope: z.string().optional(),
  subject: z.string().optional(),
  createdAt: z.number(),
  refreshedAt: z.number(),
});
const accessSchema = z.object({ token: secret, lifeMs: z.number().optional() });

/** The `grant` field's value. */
export function encodeGrant(grant: Grant): string {
  return JSON.stringify({ ...grant, refreshToken: grant.refreshToken?.reveal() });
}

/** The `access` field's value; its remaining life is a field of its own. */
export function encodeAccess({ token, lifeMs }: StoredAccess): string {
  return JSON.stringify({ token: token.reveal(), lifeMs });
}

/** @throws BearerswapError `store_corrupt`; the row is left as it is */
export function decodeGrant(value: string, key: string): Grant {
  return decode(grantSchema, value, `${key} field grant`);
}

/** @throws BearerswapError `store_corrupt`; the row is left as it is */
export function decodeAccess(value: string, key: string): { readonly token: Secret; readonly lifeMs?: number | undefined } {
  return decode(accessSchema, value, `${key} field access`);
}

function decode<T>(schema: z.ZodType<T>, value: string, where: string): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch {
    // The cause would quote the value, which holds tokens.
    throw new BearerswapError("store_corrupt", `${where} cannot be read; it was left as it is: put the grant anew, or delete the key`);
  }
}
