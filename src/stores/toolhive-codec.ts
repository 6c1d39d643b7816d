import { z } from "zod";
import { boundClientSchema, plainClient } from "../platform/bound-client.ts";
import { BearerswapError } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import type { Grant } from "./grant.ts";
import type { RowCodec, RowPlace } from "./row-codec.ts";
import { providerOf } from "./toolhive-keys.ts";
import { blankToolhiveRow, readToolhiveRow, type ToolhiveRow } from "./toolhive-row.ts";

/** What ToolHive's rows have no place for. */
const ownSchema = z.object({
  client: boundClientSchema.optional(),
  scope: z.string().optional(),
  accessLifeMs: z.number().optional(),
  createdAt: z.number(),
  refreshedAt: z.number(),
});
const lifeSchema = z.object({ lifeMs: z.number().optional() });

/**
 * ToolHive does not say how long its tokens were to live: an hour is taken, as ToolHive does itself where a provider says
 * nothing. A token is then refreshed well before ToolHive would do it, which waits for the token's end.
 */
const assumedLifeMs = 60 * 60_000;

/**
 * The texts of rows that ToolHive writes as well: `<what we keep>\n<its row>`, the first of them empty where ToolHive has
 * written since. For writing, what lua/toolhive-write.lua takes.
 */
export const toolhiveCodec: RowCodec = {
  encodeGrant({ refreshToken, subject, client, scope, accessLifeMs, createdAt, refreshedAt }, { key }, presented) {
    const own = { client: plainClient(client), scope, accessLifeMs, createdAt, refreshedAt };
    const [token, user] = [refreshToken?.reveal() ?? "", subject ?? ""];
    return JSON.stringify({
      own: JSON.stringify(own),
      row: { refresh_token: JSON.stringify(token), user_id: JSON.stringify(user) },
      refreshToken: token,
      presented: presented?.reveal(),
      user,
      blank: blankToolhiveRow(providerOf(key)),
    });
  },

  encodeAccess: ({ token, lifeMs }) => JSON.stringify([JSON.stringify({ lifeMs }), JSON.stringify(token.reveal())]),

  decodeGrant(value, place): Grant {
    const { own, row } = partsOf(value, place);
    const subject = row.user_id || undefined;
    const refreshToken = row.refresh_token === "" ? undefined : new Secret(row.refresh_token);
    if (own !== "") return { ...parsed(ownSchema, own, place), subject, refreshToken };
    // A session's end stays the same through its refreshes, and another login has another.
    return { subject, refreshToken, createdAt: (row.session_expires_at ?? 0) * 1_000, refreshedAt: 0 };
  },

  decodeAccess(value, place) {
    const { own, row } = partsOf(value, place);
    const token = new Secret(row.access_token);
    if (own !== "") return { token, ...parsed(lifeSchema, own, place) };
    return row.expires_at > 0 ? { token, lifeMs: assumedLifeMs } : { token };
  },
};

function partsOf(value: string, { key }: RowPlace): { own: string; row: ToolhiveRow } {
  const at = value.indexOf("\n");
  const row = readToolhiveRow(value.slice(at + 1));
  if (row === "sealed")
    throw new BearerswapError(
      "store_sealed",
      `${key} is encrypted by ToolHive, and was left as it is: bearerswap cannot read such rows; turn off ToolHive's ` +
        "encryption of upstream tokens, and have its user log in there again",
    );
  if (row === "unreadable") throw corrupt(key);
  return { own: value.slice(0, at), row };
}

function parsed<T>(schema: z.ZodType<T>, text: string, { key }: RowPlace): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw corrupt(key);
  }
}

/** The error has no cause, which would quote the value, and that holds tokens. */
function corrupt(key: string): BearerswapError {
  return new BearerswapError(
    "store_corrupt",
    `${key} holds no row of ToolHive's that can be read; it was left as it is: have its user log in at ToolHive again, ` +
      "or put the grant anew",
  );
}
