import { z } from "zod";
import type { MintedConfig } from "../minted/config.ts";
import { messageOf } from "../platform/error.ts";
import { importSigningKey, signingAlgorithms } from "../providers/client-auth.ts";
import { problem } from "./client-auth-schema.ts";
import { oneOrMore, parametersBut } from "./parameters.ts";
import { isStandIn } from "./stand-in.ts";
import { name, positiveDuration, secret, url } from "./units.ts";

/** What the client sets itself. */
const reserved = new Set([
  ...["grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"],
  ...["subject_token", "subject_token_type", "requested_token_type", "actor_token", "actor_token_type"],
  "assertion",
]);

/** What a token is asked for. */
const asked = {
  scope: z.string().min(1).optional().describe("The scopes that are asked for, separated by spaces."),
  audience: oneOrMore().optional().describe("Whom the token is for, by a name that the provider knows."),
  resource: oneOrMore().optional().describe("Whom the token is for, by its URL (RFC 8707)."),
  parameters: parametersBut(reserved)
    .optional()
    .describe("Further parameters of the token request. A list sends one more than once."),
};

interface Asked {
  readonly scope?: string | undefined;
  readonly audience?: string | readonly string[] | undefined;
  readonly resource?: string | readonly string[] | undefined;
  readonly parameters?: readonly (readonly [name: string, value: string])[] | undefined;
}

function parametersOf({ scope, audience, resource, parameters = [] }: Asked): [name: string, value: string][] {
  const own = Object.entries({ scope, audience, resource }).flatMap(([name, value = []]) =>
    [value].flat().map((one): [string, string] => [name, one]),
  );
  return [...own, ...parameters.map(([name, value]): [string, string] => [name, value])];
}

const consentUrl = url()
  .refine((text) => isStandIn(text) || text.startsWith("https:"), "must be https")
  .optional()
  .describe(
    "The page where users allow our client what it asks for. A client that is refused for want of consent is told it as `consent_url`.",
  );

/** A domain as an address has it. What looks like a pattern would fit no address, and refuse every user. */
const domain = /^[^\s@*.]+(\.[^\s@*.]+)*$/;

/** The claims that have keys of their own, or that we set. */
const registered = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"];

const tokenTypePrefix = "urn:ietf:params:oauth:token-type:";
const tokenTypes = ["access_token", "id_token", "jwt", "refresh_token", "saml1", "saml2"];

/** A token type (RFC 8693 §3): one of the RFC's, by its last word, or any URI. */
function tokenType() {
  return z
    .string()
    .refine(
      (text) => tokenTypes.includes(text) || URL.canParse(text),
      `must be one of ${tokenTypes.join(", ")}, or a URI`,
    )
    .transform((text) => (tokenTypes.includes(text) ? `${tokenTypePrefix}${text}` : text));
}

/** An assertion that we sign. `privateKey` and its like are those of the assertion, not of our client. */
const signedAssertion = z.strictObject({
  privateKey: secret().describe("The key that signs, in PEM. Write `${file:/path}`."),
  privateKeyId: z.string().min(1).optional().describe("The assertion's `kid`."),
  privateKeyAlgorithm: z
    .enum(signingAlgorithms)
    .default("RS256")
    .describe("The algorithm that `privateKey` signs with."),
  issuer: z.string().min(1).describe("The assertion's `iss`: a service account, or our client's id."),
  subject: z
    .union([
      z.string().min(1),
      z
        .strictObject({
          claim: z.string().min(1).describe("The claim of the session's own JWT that names the user there."),
          verified: z
            .string()
            .min(1)
            .optional()
            .describe("The claim that must be true, such as `email_verified` for `email`."),
          domains: z
            .array(z.string().toLowerCase().regex(domain, "must be a whole domain, such as example.com"))
            .min(1)
            .optional()
            .describe("What must stand after the only `@` of the value. Without this key it may be any text."),
        })
        .refine(
          ({ claim, verified, domains }) => claim !== "email" || (verified !== undefined && domains !== undefined),
          {
            message: "claim: email needs verified and domains: else a user could name somebody else's address",
          },
        ),
    ])
    .optional()
    .describe(
      "The assertion's `sub`: a fixed one, or whom a claim of each session's JWT names. Without this key it is `issuer`.",
    ),
  audience: z
    .string()
    .min(1)
    .optional()
    .describe("The assertion's `aud`. Without this key: `tokenEndpoint`, or the upstream's `issuer`."),
  claims: z.record(z.string(), z.string()).optional().describe("Further claims: `scope`, `box_sub_type`, …"),
  life: positiveDuration()
    .prefault("5m")
    .refine((ms) => ms >= 1_000 && ms <= 3_600_000, "must be from 1s to 1h")
    .describe("How long the assertion is good, from 1s to 1h."),
});

/** The keys of an upstream that say how its tokens are minted. One of them at most. */
export const mintedKeys = {
  clientCredentials: z
    .strictObject(asked)
    .optional()
    .describe(
      "Every session gets one token, which our client gets for itself (RFC 6749 §4.4): see docs/credentials.md. No user logs in.",
    ),
  exchange: z
    .strictObject({
      ...asked,
      consentUrl,
      subjectTokenType: tokenType()
        .prefault("access_token")
        .describe("What the session's JWT is: `access_token`, `id_token`, `jwt`, or a URI (RFC 8693 §3)."),
      requestedTokenType: tokenType()
        .optional()
        .describe("What is wanted, likewise. Without this key it is the provider's choice."),
      actor: z
        .strictObject({
          file: z.string().regex(/^\//, "must be an absolute path").describe("The file. It is read for each exchange."),
          tokenType: tokenType().prefault("jwt").describe("What its token is, likewise."),
        })
        .optional()
        .describe("A file that holds the token of who acts for the user, such as a Kubernetes service account."),
    })
    .optional()
    .describe(
      "Each session's own JWT is exchanged for a token (RFC 8693): see docs/credentials.md. Every session source must have a JWT: `jwt`, or `metadata` with `forwarded`.",
    ),
  jwtBearer: z
    .strictObject({
      ...asked,
      consentUrl,
      assertion: z
        .union([z.literal("session"), signedAssertion])
        .describe("`session`: each session's own JWT, as Microsoft Entra's on-behalf-of wants it. Or what we sign."),
    })
    .optional()
    .describe("A JWT is the grant (RFC 7523 §2.1): see docs/credentials.md. No user logs in."),
  crossApp: z
    .strictObject({
      identity: name().describe(
        "The upstream at whose provider users log in, the identity provider. Its client settings are used there, and its logins keep their ID token. Its `connect` asks for the scope `openid`.",
      ),
      audience: z
        .string()
        .min(1)
        .optional()
        .describe(
          "The resource's authorization server, by the issuer that the identity provider knows. Without this key: the upstream's `issuer`.",
        ),
      resource: oneOrMore().optional().describe("The API or MCP server, by its URL (RFC 8707). MCP wants it."),
      scope: asked.scope,
    })
    .optional()
    .describe(
      "Experimental: users log in at an identity provider only, which vouches for them at this upstream's authorization server (draft-ietf-oauth-identity-assertion-authz-grant-04, ID-JAG): see docs/credentials.md.",
    ),
};

type Asks = z.output<typeof mintedKeys.clientCredentials>;
type Exchanges = z.output<typeof mintedKeys.exchange>;
type Asserts = z.output<typeof mintedKeys.jwtBearer>;
type Crosses = z.output<typeof mintedKeys.crossApp>;

interface RawMinted {
  readonly mcp?: string | undefined;
  readonly connect?: object | undefined;
  readonly parameters?: object | undefined;
  readonly clientCredentials?: Asks;
  readonly exchange?: Exchanges;
  readonly jwtBearer?: Asserts;
  readonly crossApp?: Crosses;
  readonly issuer?: string | null | undefined;
  readonly tokenEndpoint?: string | undefined;
}
type IssueSink = Pick<z.core.$RefinementCtx, "addIssue">;

/** How the upstream's tokens are minted; undefined where it has grants. What contradicts it becomes a problem. */
export function mintedOf(raw: RawMinted, context: IssueSink): MintedConfig | undefined {
  const given = [
    clientCredentialsOf(raw.clientCredentials),
    exchangeOf(raw.exchange),
    jwtBearerOf(raw, context),
    crossAppOf(raw, context),
  ];
  const [minted, second] = given.filter((each) => each !== undefined);
  if (minted === undefined) return undefined;
  const { kind } = minted;
  if (second !== undefined)
    problem(context, second.kind, `cannot stand beside ${kind}: an upstream has one kind of token. Give one of them`);
  for (const other of ["mcp", "connect"] as const)
    if (raw[other] !== undefined)
      problem(context, kind, `cannot stand beside ${other}: with ${other} each user logs in. Give one of them`);
  for (const key of ["scope", "audience", "resource"] as const)
    if (kind !== "crossApp" && raw[kind]?.[key] !== undefined && raw[kind].parameters?.some(([name]) => name === key))
      problem(context, `${kind}.parameters.${key}`, `stands beside ${kind}.${key}: give one of them`);
  if (raw.parameters !== undefined)
    problem(context, "parameters", `is for refreshes, and ${kind} has none: write them into ${kind}`);
  return minted;
}

function clientCredentialsOf(raw: Asks): MintedConfig | undefined {
  return raw && { kind: "clientCredentials", parameters: parametersOf(raw) };
}

function exchangeOf(raw: Exchanges): MintedConfig | undefined {
  if (raw === undefined) return undefined;
  const { subjectTokenType, requestedTokenType, actor, consentUrl } = raw;
  return { kind: "exchange", parameters: parametersOf(raw), subjectTokenType, requestedTokenType, actor, consentUrl };
}

function crossAppOf({ crossApp, issuer }: RawMinted, context: IssueSink): MintedConfig | undefined {
  if (crossApp === undefined) return undefined;
  const { identity, audience = issuer, ...asked } = crossApp;
  if (!audience)
    problem(context, "crossApp.audience", "is needed, as no issuer is: it names the resource's authorization server");
  return { kind: "crossApp", identity, parameters: parametersOf({ ...asked, audience: audience ?? "" }) };
}

function jwtBearerOf(raw: RawMinted, context: IssueSink): MintedConfig | undefined {
  if (raw.jwtBearer === undefined) return undefined;
  const parameters = parametersOf(raw.jwtBearer);
  const { assertion, consentUrl } = raw.jwtBearer;
  if (assertion === "session") return { kind: "jwtBearer", parameters, assertion, consentUrl };
  const { privateKeyAlgorithm: algorithm, life, claims = {}, subject = assertion.issuer, ...rest } = assertion;
  if (!isStandIn(rest.privateKey.reveal())) {
    try {
      importSigningKey(rest.privateKey, algorithm);
    } catch (error) {
      problem(context, "jwtBearer.assertion.privateKey", messageOf(error));
    }
  }
  const own = registered.filter((name) => Object.hasOwn(claims, name));
  for (const name of own) problem(context, `jwtBearer.assertion.claims.${name}`, "is set by the keys of the assertion");
  const signed = {
    ...rest,
    algorithm,
    claims,
    audience: rest.audience ?? raw.tokenEndpoint ?? raw.issuer ?? "",
    subject: typeof subject === "string" ? { kind: "fixed" as const, subject } : { kind: "claim" as const, ...subject },
    lifeMs: life,
  };
  return { kind: "jwtBearer", parameters, assertion: signed, consentUrl };
}
