import { z } from "zod";
import { name, secret, url } from "./units.ts";

const reserved = new Set([
  ...["client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce"],
  ...["redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state"],
]);

/** How users connect their accounts: our client at the provider, as far as a login needs more than a refresh. */
export const upstreamConnectSchema = z.strictObject({
  authorizationEndpoint: url()
    .optional()
    .meta({ description: "RFC 6749 §3.1; goes with tokenEndpoint, else it is discovered" }),
  scope: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .meta({ description: "Asked for at login, separated by spaces; openid tells as whom" }),
  scopeParameter: z
    .string()
    .min(1, "must not be empty")
    .refine((value) => value === "scope" || !reserved.has(value), "must not be what the flow sets")
    .optional()
    .meta({ description: "The parameter that carries scope; default scope" }),
  scopeSeparator: z
    .enum([" ", ","])
    .optional()
    .meta({ description: "What the provider has between scopes; default a space" }),
  pkce: z
    .boolean()
    .optional()
    .meta({ description: "Default true; false for a provider that refuses requests with PKCE (RFC 7636)" }),
  parameters: z
    .record(z.string().min(1), z.string())
    .refine(
      (value) => Object.keys(value).every((key) => !reserved.has(key)),
      "must not hold what the flow sets: scope has a key of its own",
    )
    .default({})
    .meta({ description: "More parameters of the authorization request: prompt, access_type, audience, …" }),
});

const origin = url()
  .refine(
    (value) => URL.parse(value)?.pathname === "/" && !/[?]/.test(value),
    "must be an origin without path and query, such as https://gateway.example.com",
  )
  .transform((value) => new URL(value).origin);

const login = z.strictObject({
  clientId: z.string().min(1, "must not be empty"),
  clientSecret: secret().optional(),
  scope: z
    .string()
    .regex(/(?:^| )openid(?: |$)/, "must hold openid")
    .default("openid"),
});

const resource = z.strictObject({
  resource: url().meta({
    description: "The URL that clients know the resource by; its path begins the paths it covers",
  }),
  authorizationServers: z
    .array(url())
    .min(1)
    .optional()
    .meta({ description: "Default: the issuers of the jwt sources" }),
  scopes: z.array(z.string().min(1)).min(1).optional(),
});

/** `connect`: pages of our own below a prefix, by which users connect their accounts. */
export const connectSchema = z.strictObject({
  publicUrl: origin.meta({
    description: "Where browsers reach Envoy: makes every link and redirect_uri, never the request's Host",
  }),
  prefix: z
    .string()
    .regex(/^\/(?:[A-Za-z0-9_-]+\/)+$/, "must begin and end with / and hold letters, digits, - and _ between")
    .default("/_bearerswap/")
    .meta({ description: "Default /_bearerswap/" }),
  login: z
    .record(name(), login)
    .default({})
    .meta({ description: "By the name of a jwt source: our client at its issuer, which tells who follows a link" }),
  resources: z.array(resource).default([]).meta({ description: "RFC 9728 metadata, answered at its well-known path" }),
  assumeUrlElicitation: z.boolean().default(false).meta({
    description:
      "MCP clients before revision 2026-07-28 do not say in a request whether they can open URLs: true takes them for able",
  }),
});
