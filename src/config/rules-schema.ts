import { z } from "zod";
import { headerName, secret, url } from "./units.ts";

/** Headers that the HTTP client sets itself, or that are about the connection. */
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
  z.array(z.string().min(1, "must not be empty")).min(1, "must name at least one key").optional().describe(description);
const words = (description: string) => z.array(z.string().min(1, "must not be empty")).optional().describe(description);

/** Headers of a request beside those that the HTTP client sets. */
export const furtherHeaders = z.record(
  headerName().refine((name) => !clientsHeaders.has(name), "is set by the client itself"),
  z
    .string()
    .regex(/^[\x20-\x7e]+$/, "must be visible ASCII")
    .pipe(secret()),
);

/** How the token request differs from RFC 6749's. */
export const requestSchema = z.strictObject({
  body: z
    .enum(["form", "json"])
    .optional()
    .describe("How the fields are sent: as a `form`, which is what is done without this key, or as a `json` object."),
  headers: furtherHeaders
    .optional()
    .describe("Further headers of token and revocation requests. Their values are never printed."),
});

const placeholders = /\{(?:token|clientId)\}/g;
const template = (text: string) => !/[{}]/.test(text.replace(placeholders, ""));
const fields = z.record(
  z.string().min(1),
  z.string().refine(template, "may hold {token} and {clientId}, and no other braces"),
);

/** How a provider ends a grant that does not do it by RFC 7009. */
export const revocationSchema = z
  .strictObject({
    method: z.enum(["POST", "DELETE"]).default("POST").describe("The request's method."),
    url: url()
      .refine(template, "may hold {token} and {clientId}, and no other braces")
      .refine((text) => !/[{}]/.test(URL.parse(text)?.host ?? ""), "must not build its host from a placeholder")
      .describe("The address. `{token}` and `{clientId}` stand for the values, percent-encoded."),
    auth: z
      .enum(["none", "basic", "bearer"])
      .default("none")
      .describe(
        "How the request is authenticated: `basic` by `clientId` and `clientSecret`, `bearer` by the token itself.",
      ),
    token: z.enum(["refresh", "access"]).default("refresh").describe("Which of the grant's tokens the provider takes."),
    form: fields.optional().describe("Fields of a form body. `{token}` and `{clientId}` stand for the values."),
    json: fields.optional().describe("Fields of a JSON body, in the same way, in place of `form`."),
  })
  .refine(({ form, json }) => form === undefined || json === undefined, "must not have both form and json");

/** Where a successful answer holds what RFC 6749 §5.1 puts at the top. */
export const responseSchema = z.strictObject({
  root: path("The object that holds the tokens; all other paths begin there. Without this key: the whole answer."),
  fallbackTokenType: z
    .string()
    .min(1)
    .optional()
    .describe("Where `root` holds no token, the top of the answer is read if its `token_type` is this."),
  accessToken: path("The access token, in place of `[access_token]`."),
  refreshToken: path("The refresh token, in place of `[refresh_token]`."),
  expiresIn: path("The access token's life, in place of `[expires_in]`."),
  expiresInUnit: z.enum(["s", "ms"]).optional().describe("The unit of `expiresIn`: seconds, unless this says `ms`."),
  expiresAt: path(
    "The end of the access token's life, in epoch seconds, epoch milliseconds or RFC 3339. It wins over `expiresIn`.",
  ),
  refreshExpiresIn: path(
    "The refresh token's life in seconds, in place of `[refresh_expires_in]` or `[refresh_token_expires_in]`.",
  ),
  scope: path("The scope, in place of `[scope]`."),
});

/** An answer that means something else than its error word alone does. */
const exactError = z.strictObject({
  status: z.int().min(100).max(599).optional().describe("The HTTP status. Without this key: any."),
  error: z.string().min(1, "must not be empty").describe("The whole word of the standard `error`."),
  description: z.string().min(1, "must not be empty").describe("The whole `error_description`."),
  means: z
    .enum(["refused", "misconfigured", "transient", "unknown"])
    .describe("What such an answer means, in the words of the lists beside `exact`."),
});

/** What the provider's own error words mean. */
export const errorsSchema = z.strictObject({
  exact: z
    .array(exactError)
    .optional()
    .describe(
      "Answers that mean something else than their error word does. All that is stated must be equal, to the letter. They are looked at before all words.",
    ),
  path: path("Where the provider's own error word or number is in the answer. The standard `error` is looked at too."),
  refused: words(
    "The refresh token is refused, and the user has to log in again. Only these words, and the standard's, end a grant.",
  ),
  misconfigured: words("Our client is refused: no user can do anything about it."),
  transient: words("The refresh failed, and the refresh token was surely not used."),
  unknown: words("The refresh failed, and the refresh token may have been used."),
});
