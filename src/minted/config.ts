/** Our client's own token (RFC 6749 §4.4): one for all sessions. */
export interface ClientCredentialsConfig {
  readonly kind: "clientCredentials";
  /** What is asked for: `scope`, `audience`, `resource`, … */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** How an upstream's tokens are minted, where it needs no login of its user there. */
export type MintedConfig = ClientCredentialsConfig;
