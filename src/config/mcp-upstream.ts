import type { z } from "zod";
import { problem } from "./client-auth-schema.ts";

/** What of an upstream tells where its provider is. */
interface Whereabouts {
  readonly mcp?: string | undefined;
  readonly preset?: string | undefined;
  readonly issuer?: string | null | undefined;
  readonly tokenEndpoint?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientSecret?: unknown;
  readonly privateKey?: unknown;
  readonly connect?:
    | {
        readonly authorizationEndpoint?: string | undefined;
        readonly pkce?: boolean | undefined;
        readonly ownRedirect?: boolean | undefined;
      }
    | undefined;
}

/** What contradicts `mcp`, by which everything about the provider is found out. */
export function checkMcp(raw: Whereabouts, context: Pick<z.core.$RefinementCtx, "addIssue">): void {
  if (raw.mcp === undefined) return;
  for (const key of ["preset", "tokenEndpoint"] as const)
    if (raw[key]) problem(context, key, "is found out from mcp: give one of them");
  if (raw.connect?.authorizationEndpoint !== undefined)
    problem(context, "connect.authorizationEndpoint", "is found out from mcp: leave it out");
  if (raw.connect?.pkce === false) problem(context, "connect.pkce", "is always used at MCP servers: leave it out");
  if (raw.connect?.ownRedirect === false)
    problem(context, "connect.ownRedirect", "is always true at MCP servers: leave it out");
  if (raw.clientSecret !== undefined && raw.clientId !== undefined && !raw.issuer)
    problem(
      context,
      "issuer",
      "is needed with clientSecret: the MCP server says where to log in, and the secret must go to the issuer that gave it alone",
    );
  if (raw.clientId !== undefined) return;
  for (const key of ["clientSecret", "privateKey"] as const)
    if (raw[key] !== undefined) problem(context, key, "goes with clientId");
}
