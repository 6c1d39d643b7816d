import { z } from "zod";
import type { SecretConfig } from "../providers/secret-config.ts";
import { problem } from "./client-auth-schema.ts";
import { furtherHeaders } from "./rules-schema.ts";
import { positiveDuration, shownText, url } from "./units.ts";

const status = z.int().min(200).max(599);
const statuses = z
  .union([status, z.array(status).min(1, "must name at least one status")])
  .transform((value) => [value].flat());

const verify = z
  .strictObject({
    url: url().describe(
      "The address that is asked with the secret, as the API would be. It should be short and change nothing.",
    ),
    expect: statuses.prefault(200).describe("The statuses that mean that the secret is good."),
    refused: statuses
      .prefault([400, 401, 403])
      .describe("The statuses that mean that it is not. After any other status nothing is kept, and the log says so."),
    headers: furtherHeaders
      .optional()
      .describe("Further headers, such as the API's version. Their values are never printed."),
  })
  .refine(({ expect, refused }) => expect.every((each) => !refused.includes(each)), {
    path: ["refused"],
    message: "must not hold a status of expect: it would mean both",
  });

/** `secret` of an upstream. */
export const secretSchema = z.strictObject({
  label: shownText().describe("What users read of the secret: `Personal access token`, `API key`."),
  help: url().optional().describe("The page where users find or make their secret."),
  user: shownText()
    .optional()
    .describe(
      "What users read of the name that goes with it, as HTTP Basic wants one (RFC 7617): `User name`, `Email address`. The form then has two fields, and `inject.format` is by default `Basic {token}`. Without this key there is the secret alone.",
    ),
  idle: positiveDuration()
    .prefault("90d")
    .refine((ms) => ms >= 86_400_000, "must be at least 1d")
    .describe("How long a secret is kept without use. At least 1d."),
  verify: verify.optional().describe("Tries a secret before it is kept. Without this key any is kept."),
});

type RawSecret = z.output<typeof secretSchema>;

/** The keys of an upstream that say where its provider is, and which client we are there. */
const providersKeys = [
  ...["issuer", "tokenEndpoint", "clientId", "clientSecret", "clientAuth", "privateKey", "privateKeyId"],
  ...["privateKeyCertificate", "parameters", "grace", "rotates", "revocationEndpoint", "revocation"],
  ...["accessTokenLife", "request", "response", "errors"],
];

interface RawUpstream {
  readonly preset?: string | undefined;
  readonly connect?: object | undefined;
  readonly inject: { readonly header: string };
}

/**
 * An upstream's secret; what contradicts it becomes a problem.
 *
 * @param otherKinds the keys of the other ways to get a token
 */
export function secretOf(
  { label, help, user, idle, verify: asked }: RawSecret,
  raw: RawUpstream,
  otherKinds: readonly string[],
  context: Pick<z.core.$RefinementCtx, "addIssue">,
): SecretConfig {
  const given = raw as unknown as Readonly<Record<string, unknown>>;
  const isGiven = (key: string) => given[key] !== undefined && given[key] !== null;
  for (const kind of otherKinds.filter(isGiven))
    problem(context, "secret", `cannot stand beside ${kind}: an upstream has one kind of token. Give one of them`);
  if (raw.preset !== undefined)
    problem(context, "preset", "names an OAuth provider, and with secret there is none: leave it out");
  else
    for (const key of providersKeys.filter(isGiven))
      problem(context, key, "is about an OAuth provider, and with secret there is none: leave it out");
  if (raw.connect !== undefined)
    problem(
      context,
      "connect",
      "is about logins at a provider: leave it out. Where the file has the section connect, users enter their secret on its pages",
    );
  if (Object.hasOwn(asked?.headers ?? {}, raw.inject.header))
    problem(context, `secret.verify.headers.${raw.inject.header}`, "carries the secret itself: leave it out");
  return { label, help, user, idleMs: idle, verify: asked && { ...asked, headers: asked.headers ?? {} } };
}
