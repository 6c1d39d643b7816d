import { z } from "zod";
import type { MintedConfig } from "../minted/config.ts";
import { problem } from "./client-auth-schema.ts";
import { oneOrMore, parametersBut } from "./parameters.ts";

/** What the client sets itself, and what has a key of its own here. */
const reserved = new Set([
  ...["grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"],
  ...["scope", "audience", "resource"],
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

/** The keys of an upstream that say how its tokens are minted. One of them at most. */
export const mintedKeys = {
  clientCredentials: z
    .strictObject(asked)
    .optional()
    .describe(
      "Every session gets one token, which our client gets for itself (RFC 6749 §4.4): see docs/credentials.md. No user logs in.",
    ),
};

interface RawMinted {
  readonly mcp?: string | undefined;
  readonly connect?: object | undefined;
  readonly parameters?: object | undefined;
  readonly clientCredentials?: Asked | undefined;
}
type IssueSink = Pick<z.core.$RefinementCtx, "addIssue">;

/** How the upstream's tokens are minted; undefined where it has grants. What contradicts it becomes a problem. */
export function mintedOf(raw: RawMinted, context: IssueSink): MintedConfig | undefined {
  if (raw.clientCredentials === undefined) return undefined;
  const kind = "clientCredentials";
  for (const other of ["mcp", "connect"] as const)
    if (raw[other] !== undefined)
      problem(context, kind, `cannot stand beside ${other}: with ${other} each user logs in. Give one of them`);
  if (raw.parameters !== undefined)
    problem(context, "parameters", `is for refreshes, and ${kind} has none: write them into ${kind}`);
  return { kind, parameters: parametersOf(raw.clientCredentials) };
}
