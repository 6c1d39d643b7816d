import type { Place } from "./credential.ts";

/** How an issuer may end sessions (OpenID Connect Back-Channel Logout 1.0). */
export interface BackchannelLogoutConfig {
  /** The logout tokens' `aud` holds one of these; absent: the source's audience. */
  readonly audience?: readonly string[] | undefined;
  /** `sid`: the one session that the logout token names, where it names one. `sub`: all of the user's. */
  readonly by: "sid" | "sub";
}

/** Sessions named by a claim of a JWT. Durations in ms. */
export interface JwtSourceConfig {
  readonly kind: "jwt";
  readonly from: Place;
  readonly issuer: string;
  readonly audience: readonly string[];
  /** The issuer's keys; absent: discovered from the issuer. */
  readonly jwks?: string | undefined;
  readonly claim: string;
  /** The claim that must equal the grant's subject. */
  readonly subject?: string | undefined;
  readonly clockTolerance: number;
  readonly jwksCooldown: number;
  /** The authority of the issuer's certificates, PEM. */
  readonly ca?: string | undefined;
  readonly allowInsecure: boolean;
  readonly backchannelLogout?: BackchannelLogoutConfig | undefined;
}

/** Sessions in metadata that a filter of Envoy verified. */
export interface MetadataSourceConfig {
  readonly kind: "metadata";
  readonly namespace: string;
  readonly path: readonly string[];
  readonly subject?: readonly string[] | undefined;
  /** Headers that carry the session credential, to be removed. */
  readonly strip: readonly string[];
  /** Where the filter leaves the JWT that it has verified; absent where nothing is minted for it. */
  readonly forwarded?: Place | undefined;
}

/** Sessions named by a random value that the client holds. */
export interface OpaqueSourceConfig {
  readonly kind: "opaque";
  readonly from: Place;
}

/** Sessions that bearerswap begins itself, in a cookie. Durations in ms. */
export interface OwnSourceConfig {
  readonly kind: "cookie";
  readonly from: { readonly cookie: string };
  readonly idleMs: number;
  readonly absoluteMs: number;
}

/** Sessions named by the SPIFFE ID of the mTLS peer. */
export interface PrincipalSourceConfig {
  readonly kind: "principal";
  readonly trustDomains: readonly string[];
}

/**
 * A source of sessions; `name` is part of every session's identity, except where sessions are ToolHive's: those are the
 * same by whichever source they are found.
 */
export type SourceConfig = { readonly name: string; readonly isOfToolhive?: true | undefined } & (
  | JwtSourceConfig
  | MetadataSourceConfig
  | OpaqueSourceConfig
  | OwnSourceConfig
  | PrincipalSourceConfig
);

export type JwtSource = SourceConfig & JwtSourceConfig;

export function isJwtSource(source: SourceConfig): source is JwtSource {
  return source.kind === "jwt";
}

/** A source whose issuer may end its sessions. */
export type LogoutSource = JwtSource & { readonly backchannelLogout: BackchannelLogoutConfig };

export function isLogoutSource(source: SourceConfig): source is LogoutSource {
  return source.kind === "jwt" && source.backchannelLogout !== undefined;
}

/** Whether it is remembered what the issuer calls the source's sessions, or their users. */
export function isNamed(source: JwtSource): boolean {
  return source.backchannelLogout !== undefined || source.subject === "sub";
}
