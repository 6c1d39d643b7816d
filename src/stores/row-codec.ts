import { z } from "zod";
import { boundClientSchema, plainClient } from "../platform/bound-client.ts";
import { BearerswapError } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import type { Grant, StoredAccess } from "./grant.ts";
import { type SealedPlace, type Sealer, unsealed } from "./sealing.ts";

const secret = z.string().transform((value) => new Secret(value));
const grantSchema = z.object({
  isSecret: z.literal(true).optional(),
  refreshToken: secret.optional(),
  client: boundClientSchema.optional(),
  idToken: z.object({ token: secret, until: z.number() }).optional(),
  scope: z.string().optional(),
  subject: z.string().optional(),
  accessLifeMs: z.number().optional(),
  createdAt: z.number(),
  refreshedAt: z.number(),
});
const accessSchema = z.object({ token: secret, lifeMs: z.number().optional() });

/** Which row a value belongs to. */
export type RowPlace = Omit<SealedPlace, "field">;

/**
 * The texts of a row's `grant` and `access` fields. Decoding throws BearerswapError `store_corrupt` or `store_sealed`;
 * the row is left as it is.
 */
export interface RowCodec {
  /** @param presented see `GrantWrite` in token-store.ts */
  encodeGrant(grant: Grant, row: RowPlace, presented?: Secret): string;
  /** The remaining life is a field of its own. */
  encodeAccess(access: StoredAccess, row: RowPlace): string;
  decodeGrant(value: string, row: RowPlace): Grant;
  decodeAccess(value: string, row: RowPlace): { readonly token: Secret; readonly lifeMs?: number | undefined };
}

/** Texts are JSON, sealed by the sealer, or in the clear without one. */
export function createRowCodec(sealer: Sealer = unsealed): RowCodec {
  return {
    encodeGrant({ refreshToken, client, idToken, ...grant }, row) {
      const plain = {
        ...grant,
        refreshToken: refreshToken?.reveal(),
        client: plainClient(client),
        idToken: idToken && { ...idToken, token: idToken.token.reveal() },
      };
      return sealer.seal(JSON.stringify(plain), { ...row, field: "grant" });
    },
    encodeAccess: ({ token, lifeMs }, row) =>
      sealer.seal(JSON.stringify({ token: token.reveal(), lifeMs }), { ...row, field: "access" }),
    decodeGrant: (value, row) => decode(grantSchema, value, { ...row, field: "grant" }),
    decodeAccess: (value, row) => decode(accessSchema, value, { ...row, field: "access" }),
  };

  function decode<T>(schema: z.ZodType<T>, value: string, place: SealedPlace): T {
    const text = sealer.open(value, place);
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      // The error has no cause, which would quote the value, and that holds tokens.
      throw new BearerswapError(
        "store_corrupt",
        `${place.key} field ${place.field} cannot be read; it was left as it is: put the grant anew, or delete the key`,
      );
    }
  }
}
