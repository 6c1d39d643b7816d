import { z } from "zod";
import { Secret } from "./secret.ts";

/**
 * The client that a login or a grant was made with, at the authorization server that knows it. What was made with it is
 * of use there and with it alone, whatever the configuration or a later discovery says.
 */
export interface BoundClient {
  /** As the authorization server names itself. */
  readonly issuer: string;
  readonly id: string;
  /** How a client that registered itself proves who it is. Absent: as is configured for this id. */
  readonly method?: "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt" | undefined;
  readonly secret?: Secret | undefined;
  /** What its tokens are for (RFC 8707). Absent: nothing was named, and nothing is named at a refresh. */
  readonly resource?: string | undefined;
}

export const boundClientSchema = z.object({
  issuer: z.string(),
  id: z.string(),
  method: z.enum(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]).optional(),
  secret: z
    .string()
    .transform((value) => new Secret(value))
    .optional(),
  resource: z.string().optional(),
});

/** What {@link boundClientSchema} reads. The secret is in it: only for texts that are sealed, or stored as tokens are. */
export function plainClient<Client extends BoundClient | undefined>(client: Client) {
  return client && { ...client, secret: client.secret?.reveal() };
}
