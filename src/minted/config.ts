/** What is asked for: `scope`, `audience`, `resource`, … */
type Parameters = readonly (readonly [name: string, value: string])[];

/** Our client's own token (RFC 6749 §4.4): one for all sessions. */
export interface ClientCredentialsConfig {
  readonly kind: "clientCredentials";
  readonly parameters: Parameters;
}

/** The session's own token is exchanged for the upstream's (RFC 8693). */
export interface ExchangeConfig {
  readonly kind: "exchange";
  readonly parameters: Parameters;
  readonly subjectTokenType: string;
  /** Absent: what the provider gives by itself. */
  readonly requestedTokenType?: string | undefined;
  /** Who acts for the session's user; the file holds its token, and is read for each exchange. */
  readonly actor?: { readonly file: string; readonly tokenType: string } | undefined;
}

/** How an upstream's tokens are minted, where it needs no login of its user there. */
export type MintedConfig = ClientCredentialsConfig | ExchangeConfig;

/** Whether a token is minted for the session's own, so that it differs from session to session. */
export function needsSubjectToken({ kind }: MintedConfig): boolean {
  return kind === "exchange";
}
