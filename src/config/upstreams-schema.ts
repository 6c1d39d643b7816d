import { z } from "zod";
import { BearerswapError } from "../platform/error.ts";
import { type ClientAuthConfig, importSigningKey, signingAlgorithms, thumbprintsOf } from "../providers/client-auth.ts";
import { presetNames, presetParameterNames } from "../providers/presets.ts";
import { upstreamConnectSchema } from "./connect-schema.ts";
import { caFile } from "./pem-file.ts";
import { errorsSchema, requestSchema, responseSchema, revocationSchema } from "./rules-schema.ts";
import { isStandIn } from "./stand-in.ts";
import { headerName, name, positiveDuration, secret, url } from "./units.ts";

/** Set by the client for the refresh itself (RFC 6749 §6, RFC 7521 §4.2). */
const reservedParameters = new Set([
  "grant_type",
  "refresh_token",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
]);
/** Set by Envoy or about the connection: injecting a token there breaks the request. */
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
    .default("authorization"),
  format: z
    .string()
    .regex(/^[\t\x20-\x7e]*$/, "must be visible ASCII")
    .refine((format) => format.includes("{token}"), "must contain {token}")
    .default("Bearer {token}"),
});

const parameterValue = z.union([z.string(), z.array(z.string()).min(1)]);
const parameters = z
  .record(z.string().min(1), parameterValue)
  .refine(
    (value) => Object.keys(value).every((key) => !reservedParameters.has(key)),
    `must not hold ${[...reservedParameters].join(", ")}: the client sets them`,
  )
  .transform((value) =>
    Object.entries(value).flatMap(([key, values]) => [values].flat().map((one): [string, string] => [key, one])),
  );

const methods = [
  "client_secret_basic",
  "client_secret_basic_raw",
  "client_secret_post",
  "private_key_jwt",
  "none",
] as const;

/** Filled in before the schema is asked: what is left here belongs to no preset of that upstream. */
const presetParameters = Object.fromEntries(
  presetParameterNames.map((parameter) => [
    parameter,
    z.string().optional().meta({ description: "A parameter of presets; see docs/providers.md" }),
  ]),
) as Record<string, z.ZodOptional<z.ZodString>>;

export const upstreamSchema = z
  .strictObject({
    preset: z
      .enum(presetNames)
      .optional()
      .meta({ description: "Fills in what is known of a provider; what stands beside it wins. See docs/providers.md" }),
    ...presetParameters,
    issuer: url()
      .nullish()
      .meta({ description: "The provider: its endpoints are discovered, unless tokenEndpoint is given" }),
    tokenEndpoint: url().optional(),
    clientId: z.string().min(1, "must not be empty"),
    clientSecret: secret().optional(),
    clientAuth: z.enum(methods).optional().meta({
      description: "Default: client_secret_basic with a clientSecret, private_key_jwt with a privateKey, else none",
    }),
    privateKey: secret().optional().meta({ description: "PEM private key for private_key_jwt: ${file:/path}" }),
    privateKeyId: z.string().min(1).optional().meta({ description: "The assertion's kid" }),
    privateKeyCertificate: z.string().optional().meta({
      description:
        "PEM certificate of the privateKey: ${file:/path}. The assertion names it by x5t and x5t#S256, as Microsoft Entra wants it",
    }),
    privateKeyIdIsThumbprint: z.boolean().default(false).meta({
      description:
        "A privateKeyId that is a certificate's SHA-1 thumbprint (hexadecimal or base64url) is sent as x5t too. Default false; preset entra: true",
    }),
    privateKeyAlgorithm: z.enum(signingAlgorithms).default("RS256"),
    parameters: parameters.optional().meta({ description: "Sent with each refresh: scope, resource, audience, …" }),
    inject: inject.prefault({}).meta({ description: "Default: authorization: Bearer {token}" }),
    maxConcurrentRefreshes: z
      .int()
      .min(1)
      .default(32)
      .meta({ description: "Refreshes that one replica asks of the provider at the same time; default 32" }),
    grace: positiveDuration().nullish().meta({
      description: "How long the provider still accepts a refresh token that it has rotated, where that is known",
    }),
    rotates: z.literal("never").nullish().meta({
      description:
        "never: a refresh leaves the refresh token as it is, so that a time-out or a 5xx harms nothing. Only where the provider's documents say so",
    }),
    revocationEndpoint: url()
      .nullish()
      .meta({ description: "RFC 7009; goes with tokenEndpoint, else it is discovered" }),
    revocation: revocationSchema
      .nullish()
      .meta({ description: "The provider's own way to end a grant, in place of RFC 7009" }),
    displayName: z
      .string()
      .max(60, "must be 60 characters at most")
      .regex(/^[^\s\p{C}](?:[^\p{C}]*[^\s\p{C}])?$/u, "must hold visible characters, and no space at its ends")
      .optional()
      .meta({ description: "What users read on the connect pages; default: the upstream's name here" }),
    connect: upstreamConnectSchema.optional().meta({ description: "Lets users connect their accounts by themselves" }),
    killsOldAccess: z
      .boolean()
      .default(false)
      .meta({ description: "The old access token dies at rotation: nothing is refreshed ahead of need" }),
    refreshTokenLife: positiveDuration()
      .default(30 * 86_400_000)
      .meta({ description: "How long a refresh token lives where the provider does not say; default 30d" }),
    accessTokenLife: positiveDuration().nullish().meta({
      description:
        "How long an access token lives where an answer does not say; default: what the login or the last answer said, and no expiry where none ever did",
    }),
    request: requestSchema.nullish().meta({ description: "How the token request differs from RFC 6749" }),
    response: responseSchema
      .nullish()
      .meta({ description: "Where a successful answer differs from RFC 6749 section 5.1" }),
    errors: errorsSchema.nullish().meta({ description: "What the provider's own error words mean" }),
    ca: caFile().optional().meta({
      description:
        "Path of the authority that the provider's certificate must come from, PEM; default: those that Node trusts, and NODE_EXTRA_CA_CERTS",
    }),
    allowInsecure: z.boolean().default(false).meta({ description: "Lets the provider be plain http off loopback" }),
  })
  .transform((raw, context) => {
    for (const parameter of presetParameterNames.filter((key) => key in raw))
      problem(
        context,
        parameter,
        raw.preset === undefined
          ? "is a parameter of presets, and this upstream has none"
          : `is no parameter of preset ${raw.preset}`,
      );
    if (!raw.issuer && raw.tokenEndpoint === undefined)
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
    const clientAuth = clientAuthOf(raw, context);
    if (raw.revocation?.auth === "basic" && (clientAuth.method === "none" || clientAuth.method === "private_key_jwt"))
      problem(context, "revocation.auth", "basic needs a clientSecret");
    return {
      issuer: raw.issuer ?? undefined,
      tokenEndpoint: raw.tokenEndpoint,
      revocationEndpoint: raw.revocationEndpoint ?? undefined,
      revocation: raw.revocation ?? undefined,
      clientId: raw.clientId,
      clientAuth,
      parameters: raw.parameters ?? [],
      request: raw.request ?? undefined,
      response: raw.response ?? undefined,
      errors: raw.errors ?? undefined,
      inject: raw.inject,
      connect: raw.connect,
      displayName: raw.displayName,
      maxConcurrency: raw.maxConcurrentRefreshes,
      graceMs: raw.grace ?? undefined,
      neverRotates: raw.rotates === "never",
      killsOldAccess: raw.killsOldAccess,
      refreshTokenLifeMs: raw.refreshTokenLife,
      accessTokenLifeMs: raw.accessTokenLife ?? undefined,
      ca: raw.ca,
      allowInsecure: raw.allowInsecure,
    };
  });

export const upstreamsSchema = z
  .record(name(), upstreamSchema)
  .refine((value) => Object.keys(value).length > 0, "must name at least one upstream");

export type UpstreamConfig = z.output<typeof upstreamSchema>;

interface RawClientAuth {
  readonly clientAuth?: (typeof methods)[number] | undefined;
  readonly clientSecret?: ClientSecret | undefined;
  readonly privateKey?: ClientSecret | undefined;
  readonly privateKeyId?: string | undefined;
  readonly privateKeyCertificate?: string | undefined;
  readonly privateKeyIdIsThumbprint: boolean;
  readonly privateKeyAlgorithm: (typeof signingAlgorithms)[number];
}
type ClientSecret = z.output<ReturnType<typeof secret>>;
type IssueSink = Pick<z.core.$RefinementCtx, "addIssue">;

function clientAuthOf(raw: RawClientAuth, context: IssueSink): ClientAuthConfig {
  if (raw.privateKeyCertificate !== undefined && raw.privateKey === undefined)
    problem(context, "privateKeyCertificate", "goes with privateKey");
  const method =
    raw.clientAuth ?? (raw.clientSecret ? "client_secret_basic" : raw.privateKey ? "private_key_jwt" : "none");
  if (method === "none") {
    for (const key of ["clientSecret", "privateKey"] as const)
      if (raw[key] !== undefined) problem(context, key, "is not used with clientAuth: none");
    return { method };
  }
  if (method === "private_key_jwt") return privateKeyJwt(raw, context);
  if (raw.privateKey !== undefined) problem(context, "privateKey", `is not used with clientAuth: ${method}`);
  if (raw.clientSecret !== undefined) return { method, secret: raw.clientSecret };
  problem(context, "clientSecret", `is needed for clientAuth: ${method}`);
  return z.NEVER;
}

function privateKeyJwt(raw: RawClientAuth, context: IssueSink): ClientAuthConfig {
  const {
    clientSecret,
    privateKey,
    privateKeyId,
    privateKeyAlgorithm,
    privateKeyCertificate,
    privateKeyIdIsThumbprint: idIsThumbprint,
  } = raw;
  if (clientSecret !== undefined) problem(context, "clientSecret", "is not used with clientAuth: private_key_jwt");
  if (privateKey === undefined) {
    problem(context, "privateKey", "is needed for clientAuth: private_key_jwt");
    return z.NEVER;
  }
  const isKey =
    !isStandIn(privateKey.reveal()) &&
    check(context, "privateKey", () => importSigningKey(privateKey, privateKeyAlgorithm));
  if (isKey && privateKeyCertificate !== undefined && !isStandIn(privateKeyCertificate))
    check(context, "privateKeyCertificate", () => thumbprintsOf(privateKeyCertificate, privateKey));
  return {
    method: "private_key_jwt",
    key: privateKey,
    keyId: privateKeyId,
    algorithm: privateKeyAlgorithm,
    certificate: privateKeyCertificate,
    idIsThumbprint,
  };
}

/** Reports what makes the use of a setting fail. */
function check(context: IssueSink, key: string, use: () => unknown): boolean {
  try {
    use();
    return true;
  } catch (error) {
    if (!(error instanceof BearerswapError)) throw error;
    problem(context, key, error.message);
    return false;
  }
}

function problem(context: IssueSink, key: string, message: string): void {
  context.addIssue({ code: "custom", path: [key], message });
}
