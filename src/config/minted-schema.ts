import { z } from "zod";
import type { MintedConfig } from "../minted/config.ts";
import { problem } from "./client-auth-schema.ts";
import { oneOrMore, parametersBut } from "./parameters.ts";

/** What the client sets itself. */
const reserved = new Set([
  ...["grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"],
  ...["subject_token", "subject_token_type", "requested_token_type", "actor_token", "actor_token_type"],
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
      "Each session's own JWT is exchanged for a token (RFC 8693): see docs/credentials.md. All session sources must be `jwt`.",
    ),
};

type Asks = z.output<typeof mintedKeys.clientCredentials>;
type Exchanges = z.output<typeof mintedKeys.exchange>;

interface RawMinted {
  readonly mcp?: string | undefined;
  readonly connect?: object | undefined;
  readonly parameters?: object | undefined;
  readonly clientCredentials?: Asks;
  readonly exchange?: Exchanges;
}
type IssueSink = Pick<z.core.$RefinementCtx, "addIssue">;

/** How the upstream's tokens are minted; undefined where it has grants. What contradicts it becomes a problem. */
export function mintedOf(raw: RawMinted, context: IssueSink): MintedConfig | undefined {
  const [minted, second] = [clientCredentialsOf(raw.clientCredentials), exchangeOf(raw.exchange)].filter(
    (each) => each !== undefined,
  );
  if (minted === undefined) return undefined;
  const { kind } = minted;
  if (second !== undefined)
    problem(context, second.kind, `cannot stand beside ${kind}: an upstream has one kind of token. Give one of them`);
  for (const other of ["mcp", "connect"] as const)
    if (raw[other] !== undefined)
      problem(context, kind, `cannot stand beside ${other}: with ${other} each user logs in. Give one of them`);
  for (const key of ["scope", "audience", "resource"] as const)
    if (raw[kind]?.[key] !== undefined && raw[kind].parameters?.some(([name]) => name === key))
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
  const { subjectTokenType, requestedTokenType, actor } = raw;
  return { kind: "exchange", parameters: parametersOf(raw), subjectTokenType, requestedTokenType, actor };
}
