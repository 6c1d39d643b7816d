import { z } from "zod";
import { importSigningKey, signingAlgorithms } from "../providers/client-auth.ts";
import { isStandIn } from "./stand-in.ts";
import { name, secret, url } from "./units.ts";

const reserved = new Set([
  ...["client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce"],
  ...["redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state"],
]);

/** `connect` of an upstream: what a login at its provider needs beside what a refresh needs. */
export const upstreamConnectSchema = z.strictObject({
  authorizationEndpoint: url()
    .optional()
    .describe(
      "The provider's page for logins (RFC 6749 §3.1). Needed with `tokenEndpoint`; otherwise it is discovered.",
    ),
  scope: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe(
      "The scopes that a login asks for, separated by spaces. With `openid` the page shows whose account it is.",
    ),
  scopeParameter: z
    .string()
    .min(1, "must not be empty")
    .refine((value) => value === "scope" || !reserved.has(value), "must not be what the flow sets")
    .optional()
    .describe("The parameter that carries the scopes, where the provider does not call it `scope`."),
  scopeSeparator: z
    .enum([" ", ","])
    .optional()
    .describe(
      "What is sent between scopes, where the provider does not want a space. In `scope` they are separated by spaces all the same.",
    ),
  pkce: z
    .boolean()
    .optional()
    .describe("PKCE (RFC 7636) is used unless this is false, for a provider that refuses requests with it."),
  ownRedirect: z
    .boolean()
    .optional()
    .describe(
      "True: users come back to `<publicUrl><prefix>callback/<upstream>`, and not to the redirect URI that upstreams share. Register that address at the provider first.",
    ),
  parameters: z
    .record(z.string().min(1), z.string())
    .refine(
      (value) => Object.keys(value).every((key) => !reserved.has(key)),
      "must not hold what the flow sets: scope has a key of its own",
    )
    .default({})
    .describe("Further parameters of the authorization request: `prompt`, `access_type`, `audience`, …"),
});

const origin = url()
  .refine(
    (value) => URL.parse(value)?.pathname === "/" && !/[?]/.test(value),
    "must be an origin without path and query, such as https://gateway.example.com",
  )
  .transform((value) => new URL(value).origin);

const login = z.strictObject({
  clientId: z.string().min(1, "must not be empty").describe("Our client's id at the issuer."),
  clientSecret: secret().optional().describe("Our client's secret at the issuer."),
  scope: z
    .string()
    .regex(/(?:^| )openid(?: |$)/, "must hold openid")
    .default("openid")
    .describe("The scopes that this login asks for; `openid` must be among them."),
});

const resource = z.strictObject({
  resource: url().describe("The URL that clients know the resource by. It covers all paths that begin with its own."),
  authorizationServers: z
    .array(url())
    .min(1)
    .optional()
    .describe("Where clients get their session's JWT. Without this key: the issuers of the `jwt` sources."),
  scopes: z.array(z.string().min(1)).min(1).optional().describe("The scopes that the resource knows."),
});

const clientKey = z
  .strictObject({
    privateKey: secret().describe("The private key, in PEM. All replicas have the same."),
    algorithm: z.enum(signingAlgorithms).default("ES256").describe("The algorithm that it signs with."),
    keyId: z.string().min(1, "must not be empty").optional().describe("The `kid` of the key."),
  })
  .superRefine(({ privateKey, algorithm }, context) => {
    if (isStandIn(privateKey.reveal())) return;
    try {
      importSigningKey(privateKey, algorithm);
    } catch {
      // The cause would quote the key.
      context.addIssue({ code: "custom", path: ["privateKey"], message: `is not a PEM private key for ${algorithm}` });
    }
  });

const stepUp = z.strictObject({
  scopes: z
    .array(
      z
        .string()
        .regex(
          /^[\x21\x23-\x5b\x5d-\x7e]+$/,
          "must be one scope: visible ASCII without space, quote and backslash (RFC 6749 §3.3)",
        ),
    )
    .min(1, "must name at least one scope")
    .describe(
      "The scopes that a user may be asked for beyond those that were granted, when an API answers 403 with `insufficient_scope`. A challenge's other scopes are asked of nobody.",
    ),
});

/** `connect`: pages of our own below a prefix, by which users connect their accounts. */
export const connectSchema = z
  .strictObject({
    publicUrl: origin.describe(
      "Where browsers reach Envoy: an origin, without a path. Every link and redirect URI is made of it, and none of the request's Host.",
    ),
    prefix: z
      .string()
      .regex(/^\/(?:[A-Za-z0-9_-]+\/)+$/, "must begin and end with / and hold letters, digits, - and _ between")
      .default("/_bearerswap/")
      .describe("The path that our pages are below. It begins and ends with `/`."),
    login: z
      .record(name(), login)
      .default({})
      .describe(
        "Our client at the issuer of a `jwt` source, by the source's name. It tells who follows a link that leaves the session's client, and lets the users of a source with `claim: sub` log in on the page.",
      ),
    resources: z
      .array(resource)
      .default([])
      .describe("Metadata of protected resources (RFC 9728), answered at their well-known paths."),
    assumeUrlElicitation: z
      .boolean()
      .default(false)
      .describe(
        "True: MCP clients of a protocol revision before 2026-07-28 can open URLs. They do not say so in their requests.",
      ),
    stepUp: stepUp
      .optional()
      .describe("Asks users for further access when an API wants it. It needs `heal`: see docs/step-up.md."),
    clientName: z
      .string()
      .min(1, "must not be empty")
      .max(100, "must be 100 characters at most")
      .optional()
      .describe(
        "What users read of us on the consent pages of MCP servers' providers. Without this key: `bearerswap` and the host of `publicUrl`.",
      ),
    clientDocument: z
      .boolean()
      .default(true)
      .describe(
        "False: we register at MCP servers' providers also where they would read our client's document at `<publicUrl><prefix>client.json`, since they cannot reach that address.",
      ),
    clientKey: clientKey
      .optional()
      .describe(
        "By this key we prove who we are to MCP servers' providers that take `private_key_jwt`. Without it a client has no secret, or one that the provider gave it.",
      ),
  })
  .transform(({ clientName, clientDocument: offersDocument, ...rest }) => ({
    ...rest,
    clientName: clientName ?? `bearerswap (${URL.parse(rest.publicUrl)?.host})`,
    offersDocument,
  }))
  .describe("Lets users connect their accounts by themselves. Without this section there are no such pages.");
