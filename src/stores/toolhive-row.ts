import { z } from "zod";

/** The members of a row of ToolHive's that count here. Instants are whole Unix seconds, 0 where there is none. */
const rowSchema = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
  expires_at: z.int(),
  /** Older rows lack it. */
  session_expires_at: z.int().nullish(),
  user_id: z.string().nullish(),
});

export type ToolhiveRow = z.infer<typeof rowSchema>;

/** What ToolHive writes in place of a row where it encrypts tokens at rest. */
const sealedSchema = z.object({ edek: z.string(), ct: z.string() });

/** A row's text as what it is: `unreadable` is whatever ToolHive does not write. */
export function readToolhiveRow(text: string): ToolhiveRow | "sealed" | "unreadable" {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return "unreadable";
  }
  const row = rowSchema.safeParse(json);
  if (row.success) return row.data;
  return sealedSchema.safeParse(json).success ? "sealed" : "unreadable";
}

/** A row of that provider in which nothing stands yet. */
export function blankToolhiveRow(provider: string): string {
  return JSON.stringify({
    provider_id: provider,
    access_token: "",
    refresh_token: "",
    id_token: "",
    expires_at: 0,
    session_expires_at: 0,
    user_id: "",
    upstream_subject: "",
    client_id: "",
  });
}
