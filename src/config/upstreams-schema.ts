import { z } from "zod";
import { presetNamed, presetNames, presetParameterNames } from "../providers/presets.ts";
import { clientAuthKeys, clientAuthOf, clientlessAuth, problem } from "./client-auth-schema.ts";
import { upstreamConnectSchema } from "./connect-schema.ts";
import { checkMcp } from "./mcp-upstream.ts";
import { mintedKeys, mintedOf } from "./minted-schema.ts";
import { parametersBut } from "./parameters.ts";
import { caFile } from "./pem-file.ts";
import { errorsSchema, requestSchema, responseSchema, revocationSchema } from "./rules-schema.ts";
import { secretOf, secretSchema } from "./secret-schema.ts";
import { headerName, name, positiveDuration, shownText, url } from "./units.ts";

/** Set by the client for the refresh itself (RFC 6749 §6, RFC 7521 §4.2). */
const reservedParameters = new Set([
  "grant_type",
  "refresh_token",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
]);
/** Headers that Envoy sets, or that are about the connection: a token in them would break the request. */
const reservedHeaders = new Set([
  "host",
  "cookie",
  "connection",
  "content-length",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
]);

const inject = z.strictObject({
  header: headerName()
    .refine((header) => !reservedHeaders.has(header), "cannot carry a token")
    .prefault("authorization")
    .describe("The header that is set."),
  format: z
    .string()
    .regex(/^[\t\x20-\x7e]*$/, "must be visible ASCII")
    .refine((format) => format.includes("{token}"), "must contain {token}")
    .optional()
    .describe(
      "The header's value, with the token in place of `{token}`. Without this key: `Bearer {token}`, or `Basic {token}` with `secret.user`.",
    ),
});

const parameters = parametersBut(reservedParameters);

function defaultFormat(isBasic: boolean): string {
  return isBasic ? "Basic {token}" : "Bearer {token}";
}

/** What an upstream has in place of a provider where users have secrets. */
const withoutProvider = {
  clientAuth: { method: "none" },
  clientId: "",
  connect: undefined,
  mcp: undefined,
  minted: undefined,
} as const;

/**
 * A preset's parameters are taken out before the schema sees the upstream (presets.ts): one that is left here belongs
 * to no preset of that upstream.
 */
const presetParameters = Object.fromEntries(
  presetParameterNames.map((parameter) => [
    parameter,
    z
      .string()
      .optional()
      .describe(
        `A parameter of presets that have it: ${presetNames.filter((preset) => parameter in (presetNamed(preset)?.parameters ?? {})).join(", ")}.`,
      ),
  ]),
) as Record<string, z.ZodOptional<z.ZodString>>;

export const upstreamSchema = z
  .strictObject({
    preset: z
      .enum(presetNames)
      .optional()
      .describe("A provider of which the endpoints and more are known. What stands beside it wins, key by key."),
    ...presetParameters,
    mcp: url()
      .optional()
      .describe(
        "The URL of an MCP server: who gives its tokens, and with which client, is found out there. Needs the section `connect`.",
      ),
    issuer: url()
      .nullish()
      .describe(
        "The provider, as it names itself. Its endpoints are discovered there, unless `tokenEndpoint` is given. One of the two is needed, or `mcp`. Beside `mcp`: the only one of the server's issuers that is used, needed with `clientSecret`.",
      ),
    tokenEndpoint: url().optional().describe("Where refresh tokens are presented, if it is not discovered."),
    clientId: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("Our client's id at the provider. Needed, except with `mcp`: there a client registers itself."),
    ...clientAuthKeys,
    parameters: parameters
      .optional()
      .describe(
        "Further parameters of each refresh: `scope`, `resource`, `audience`, … A list sends one more than once.",
      ),
    inject: inject.prefault({}).describe("How the token is put into the request."),
    maxConcurrentRefreshes: z
      .int()
      .min(1)
      .default(32)
      .describe(
        "How many refreshes one replica asks of the provider at the same time. A call that was given up is not counted.",
      ),
    grace: positiveDuration()
      .nullish()
      .describe("How long the provider still accepts a refresh token that it has rotated, where that is known."),
    rotates: z
      .literal("never")
      .nullish()
      .describe(
        "`never`, in place of `grace`: a refresh leaves the refresh token as it is, so that a lost answer costs nothing. Only where the provider's documents say so.",
      ),
    revocationEndpoint: url()
      .nullish()
      .describe("Where tokens are revoked (RFC 7009). It goes with `tokenEndpoint`; otherwise it is discovered."),
    revocation: revocationSchema
      .nullish()
      .describe("The provider's own way to end a grant, in place of `revocationEndpoint`."),
    displayName: shownText()
      .optional()
      .describe("What users read on the connect pages. Without this key: the upstream's name."),
    connect: upstreamConnectSchema
      .optional()
      .describe("Lets users connect their accounts at this provider by themselves. Needs the section `connect`."),
    killsOldAccess: z
      .boolean()
      .default(false)
      .describe("True: a refresh ends the access token before it, so that nothing is refreshed ahead of need."),
    refreshTokenLife: positiveDuration()
      .prefault("30d")
      .describe("How long a refresh token lives, where the provider does not say."),
    accessTokenLife: positiveDuration()
      .nullish()
      .describe(
        "How long an access token lives, where an answer does not say. Without this key, what the login or the last answer said counts; where none ever did, the token has no end, and one that is minted lives five minutes.",
      ),
    request: requestSchema.nullish().describe("How the token request differs from RFC 6749's."),
    response: responseSchema.nullish().describe("Where an answer holds what RFC 6749 §5.1 has at its top."),
    errors: errorsSchema.nullish().describe("What the provider's own error words mean."),
    ...mintedKeys,
    secret: secretSchema
      .optional()
      .describe("Each user has a secret for the API: a key, a token, or user and password. See docs/credentials.md."),
    ca: caFile()
      .optional()
      .describe(
        "The authority that the provider's certificate must come from, in place of those that Node trusts and `NODE_EXTRA_CA_CERTS` adds.",
      ),
    allowInsecure: z.boolean().default(false).describe("True: the provider may be plain http off loopback."),
    traces: z
      .boolean()
      .default(false)
      .describe(
        "True: requests to the provider carry `traceparent`, so that its own traces go on from ours. For providers that you run.",
      ),
  })
  .transform((raw, context) => {
    const settings = {
      issuer: raw.issuer ?? undefined,
      tokenEndpoint: raw.tokenEndpoint,
      revocationEndpoint: raw.revocationEndpoint ?? undefined,
      revocation: raw.revocation ?? undefined,
      parameters: raw.parameters ?? [],
      request: raw.request ?? undefined,
      response: raw.response ?? undefined,
      errors: raw.errors ?? undefined,
      inject: { ...raw.inject, format: raw.inject.format ?? defaultFormat(raw.secret?.user !== undefined) },
      displayName: raw.displayName,
      maxConcurrency: raw.maxConcurrentRefreshes,
      graceMs: raw.grace ?? undefined,
      neverRotates: raw.rotates === "never",
      killsOldAccess: raw.killsOldAccess,
      refreshTokenLifeMs: raw.refreshTokenLife,
      accessTokenLifeMs: raw.accessTokenLife ?? undefined,
      ca: raw.ca,
      allowInsecure: raw.allowInsecure,
      traces: raw.traces,
    };
    for (const parameter of presetParameterNames.filter((key) => key in raw))
      problem(
        context,
        parameter,
        raw.preset === undefined
          ? "is a parameter of presets, and this upstream has none"
          : `is no parameter of preset ${raw.preset}`,
      );
    if (raw.secret !== undefined) {
      const secret = secretOf(raw.secret, raw, ["mcp", ...Object.keys(mintedKeys)], context);
      return { ...settings, ...withoutProvider, secret };
    }
    checkMcp(raw, context);
    const assertion = raw.jwtBearer?.assertion;
    const needsNoClient = typeof assertion === "object" && raw.clientId === undefined;
    if (raw.mcp === undefined && raw.clientId === undefined && !needsNoClient)
      problem(context, "clientId", "is missing");
    if (raw.mcp === undefined && !raw.issuer && raw.tokenEndpoint === undefined)
      problem(context, "issuer", "give issuer, tokenEndpoint, or both");
    if (raw.revocationEndpoint && raw.tokenEndpoint === undefined)
      problem(context, "revocationEndpoint", "goes with tokenEndpoint: without it all endpoints are discovered");
    if (raw.revocation && raw.revocationEndpoint)
      problem(context, "revocation", "stands in place of revocationEndpoint: give one of them");
    if (
      raw.connect !== undefined &&
      (raw.connect.authorizationEndpoint === undefined) !== (raw.tokenEndpoint === undefined)
    )
      problem(context, "connect.authorizationEndpoint", "goes with tokenEndpoint, and tokenEndpoint with it");
    if (raw.rotates && raw.grace)
      problem(
        context,
        "grace",
        "is how long a rotated refresh token is still accepted, and rotates: never says that none is: give one of them",
      );
    const minted = mintedOf(raw, context);
    const clientAuth = needsNoClient ? clientlessAuth(raw, context) : clientAuthOf(raw, context);
    if (raw.revocation?.auth === "basic" && (clientAuth.method === "none" || clientAuth.method === "private_key_jwt"))
      problem(context, "revocation.auth", "basic needs a clientSecret");
    const common = { ...settings, clientAuth, secret: undefined };
    if (raw.mcp === undefined)
      return {
        ...common,
        minted,
        mcp: undefined,
        clientId: raw.clientId ?? (needsNoClient ? assertion.issuer : z.NEVER),
        connect: raw.connect,
      };
    const connect = { parameters: {}, ...raw.connect, ownRedirect: true };
    return { ...common, minted: undefined, mcp: raw.mcp, clientId: raw.clientId, connect };
  });

export const upstreamsSchema = z
  .record(name(), upstreamSchema)
  .refine((value) => Object.keys(value).length > 0, "must name at least one upstream")
  .describe("The APIs behind Envoy, each by a name of yours, and their providers.");

export type UpstreamConfig = z.output<typeof upstreamSchema>;
