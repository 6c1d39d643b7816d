import { z } from "zod";
import { BearerswapError } from "../platform/error.ts";
import { type ClientAuthConfig, importSigningKey, signingAlgorithms, thumbprintsOf } from "../providers/client-auth.ts";
import { isStandIn } from "./stand-in.ts";
import { secret } from "./units.ts";

const methods = [
  "client_secret_basic",
  "client_secret_basic_raw",
  "client_secret_post",
  "private_key_jwt",
  "none",
] as const;

/** The keys of an upstream that say how our client proves who it is. */
export const clientAuthKeys = {
  clientSecret: secret().optional().describe("Our client's secret at the provider."),
  clientAuth: z
    .enum(methods)
    .optional()
    .describe(
      "How our client proves who it is. Without this key: `client_secret_basic` with a `clientSecret`, `private_key_jwt` with a `privateKey`, else `none`. `client_secret_basic_raw` is Basic without percent-encoding, for providers that do not decode.",
    ),
  privateKey: secret().optional().describe("The private key for `private_key_jwt`, in PEM."),
  privateKeyId: z.string().min(1).optional().describe("The `kid` of the assertions that the key signs."),
  privateKeyCertificate: z
    .string()
    .optional()
    .describe(
      "The certificate of `privateKey`, in PEM: assertions name it by `x5t` and `x5t#S256`, as Microsoft Entra wants it. Write `${file:/path}`.",
    ),
  privateKeyIdIsThumbprint: z
    .boolean()
    .default(false)
    .describe(
      "True: a `privateKeyId` that is a certificate's SHA-1 thumbprint, in hexadecimal or base64url, is sent as `x5t` too, so that the certificate need not be at hand. Preset `entra` says true.",
    ),
  privateKeyAlgorithm: z
    .enum(signingAlgorithms)
    .default("RS256")
    .describe("The algorithm that `privateKey` signs with."),
};

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

/** The client authentication that an upstream's keys amount to; what contradicts it becomes a problem. */
export function clientAuthOf(raw: RawClientAuth, context: IssueSink): ClientAuthConfig {
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

/** Where the request's own assertion says who asks, and no client of ours is registered. */
export function clientlessAuth(raw: RawClientAuth, context: IssueSink): ClientAuthConfig {
  for (const key of ["clientSecret", "privateKey"] as const)
    if (raw[key] !== undefined) problem(context, key, "goes with clientId");
  return { method: "unsent" };
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

/** Tries to use a setting, and reports why that fails. */
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

/** Reports a problem with one key of the mapping that is parsed. */
export function problem(context: IssueSink, key: string, message: string): void {
  context.addIssue({ code: "custom", path: [key], message });
}
