import { z } from "zod";
import { headerName, secret, url } from "./units.ts";

/** Set by the client or about the connection. */
const clientsHeaders = new Set([
  "authorization",
  "content-type",
  "content-length",
  "host",
  "connection",
  "transfer-encoding",
  "cookie",
]);

const path = (description: string) =>
  z.array(z.string().min(1, "must not be empty")).min(1, "must name at least one key").optional().meta({ description });
const words = (description: string) => z.array(z.string().min(1, "must not be empty")).optional().meta({ description });

/** How the token request differs from RFC 6749's. */
export const requestSchema = z.strictObject({
  body: z
    .enum(["form", "json"])
    .optional()
    .meta({ description: "Default form; json sends the same fields as a JSON object" }),
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

const placeholders = /\{(?:token|clientId)\}/g;
const template = (text: string) => !/[{}]/.test(text.replace(placeholders, ""));
const fields = z.record(
  z.string().min(1),
  z.string().refine(template, "may hold {token} and {clientId}, and no other braces"),
);

/** A revocation that is not RFC 7009's. */
export const revocationSchema = z
  .strictObject({
    method: z.enum(["POST", "DELETE"]).default("POST").meta({ description: "Default POST" }),
    url: url()
      .refine(template, "may hold {token} and {clientId}, and no other braces")
      .refine((text) => !/[{}]/.test(URL.parse(text)?.host ?? ""), "must not build its host from a placeholder")
      .meta({ description: "{token} and {clientId} stand for the values, percent-encoded" }),
    auth: z
      .enum(["none", "basic", "bearer"])
      .default("none")
      .meta({ description: "basic: clientId and clientSecret; bearer: the token itself. Default none" }),
    token: z
      .enum(["refresh", "access"])
      .default("refresh")
      .meta({ description: "Which of the grant's tokens it takes; default refresh" }),
    form: fields.optional().meta({ description: "Fields of a form; {token} and {clientId} stand for the values" }),
    json: fields.optional().meta({ description: "Fields of a JSON object; the same" }),
  })
  .refine(({ form, json }) => form === undefined || json === undefined, "must not have both form and json");

/** Where a successful answer holds what RFC 6749 §5.1 puts at the top. */
export const responseSchema = z.strictObject({
  root: path(
    "The object that holds the tokens, as a list of keys: [data]; the other paths begin there. Default: the whole answer",
  ),
  fallbackTokenType: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Where root holds no token, the top is read if its token_type is this" }),
  accessToken: path("Default [access_token]"),
  refreshToken: path("Default [refresh_token]"),
  expiresIn: path("Default [expires_in]"),
  expiresInUnit: z.enum(["s", "ms"]).optional().meta({ description: "Default s" }),
  expiresAt: path(
    "End of the access token's life, in epoch seconds, epoch milliseconds or RFC 3339; wins over expiresIn. No default",
  ),
  refreshExpiresIn: path(
    "Life of the refresh token in seconds. Default [refresh_expires_in] or [refresh_token_expires_in]",
  ),
  scope: path("Default [scope]"),
});

/** An answer that means something else than its error word alone does. */
const exactError = z.strictObject({
  status: z.int().min(100).max(599).optional().meta({ description: "Default: any" }),
  error: z.string().min(1, "must not be empty").meta({ description: "The whole standard error word" }),
  description: z.string().min(1, "must not be empty").meta({ description: "The whole error_description" }),
  means: z.enum(["refused", "misconfigured", "transient", "unknown"]),
});

/** What the provider's own error words mean. */
export const errorsSchema = z.strictObject({
  exact: z.array(exactError).optional().meta({
    description:
      "Answers that mean something else than their error word alone does. All that is stated must be equal, to the letter. Asked before all words",
  }),
  path: path("Where the provider's own error word or number stands: [status]. The standard error is looked at too"),
  refused: words("Words for a refused refresh token: only these, and invalid_grant, end a grant"),
  misconfigured: words("Words for a refused client"),
  transient: words("Words for a failure that surely left the refresh token unused"),
  unknown: words("Words for a failure that may have used the refresh token"),
});
