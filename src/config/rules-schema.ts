import { z } from "zod";
import { headerName, secret } from "./units.ts";

/** Set by the client or about the connection. */
const clientsHeaders = new Set(["authorization", "content-type", "content-length", "host", "connection", "transfer-encoding", "cookie"]);

const path = (description: string) => z.array(z.string().min(1, "must not be empty")).min(1, "must name at least one key").optional().meta({ description });
const words = (description: string) => z.array(z.string().min(1, "must not be empty")).optional().meta({ description });

/** How the token request differs from RFC 6749's. */
export const requestSchema = z.strictObject({
  body: z.enum(["form", "json"]).optional().meta({ description: "Default form; json sends the same fields as a JSON object" }),
  headers: z
    .record(
      headerName().refine((name) => !clientsHeaders.has(name), "is set by the client itself"),
      z
        .string()
        .regex(/^[\x20-\x7e]+$/, "must be visible ASCII")
        .pipe(secret()),
    )
    .optional()
    .meta({ description: "Further headers of token and revocation requests; never printed" }),
});

/** Where a successful answer holds what RFC 6749 §5.1 puts at the top. */
export const responseSchema = z.strictObject({
  root: path("The object that holds the tokens, as a list of keys: [data]; the other paths begin there. Default: the whole answer"),
  fallbackTokenType: z.string().min(1).optional().meta({ description: "Where root holds no token, the top is read if its token_type is this" }),
  accessToken: path("Default [access_token]"),
  refreshToken: path("Default [refresh_token]"),
  expiresIn: path("Default [expires_in]"),
  expiresInUnit: z.enum(["s", "ms"]).optional().meta({ description: "Default s" }),
  expiresAt: path("End of the access token's life, in epoch seconds, epoch milliseconds or RFC 3339; wins over expiresIn. No default"),
  refreshExpiresIn: path("Life of the refresh token in seconds. Default [refresh_expires_in] or [refresh_token_expires_in]"),
  scope: path("Default [scope]"),
});

/** What the provider's own error words mean. */
export const errorsSchema = z.strictObject({
  path: path("Where the provider's own error word or number stands: [status]. The standard error is looked at too"),
  refused: words("Words for a refused refresh token: only these, and invalid_grant, end a grant"),
  misconfigured: words("Words for a refused client"),
  transient: words("Words for a failure that surely left the refresh token unused"),
  unknown: words("Words for a failure that may have used the refresh token"),
});
