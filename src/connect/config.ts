import type { Secret } from "../platform/secret.ts";
import type { OwnClient } from "../providers/own-client.ts";

/** Our client at a session's issuer, which tells who follows a link. */
export interface IssuerLoginConfig {
  readonly clientId: string;
  readonly clientSecret?: Secret | undefined;
  /** Separated by spaces; holds `openid`. */
  readonly scope: string;
}

/** What a protected resource says of itself (RFC 9728). */
export interface ResourceConfig {
  /** The URL that clients know it by. It covers all paths that begin with its own. */
  readonly resource: string;
  /** Absent: the issuers of the jwt sources. */
  readonly authorizationServers?: readonly string[] | undefined;
  readonly scopes?: readonly string[] | undefined;
}

/** Pages of our own, by which users connect their accounts. */
export interface ConnectConfig extends OwnClient {
  /** By the name of a jwt source. */
  readonly login: Readonly<Record<string, IssuerLoginConfig>>;
  readonly resources: readonly ResourceConfig[];
  /** True: an MCP client that does not say whether it can open URLs is taken to be able to. */
  readonly assumeUrlElicitation: boolean;
  /** Absent: no user is asked for more than a login asks for. */
  readonly stepUp?: { readonly scopes: readonly string[] } | undefined;
}
