import type { Secret } from "../platform/secret.ts";

/** How a secret is tried before it is kept: one request with it, as the API gets it. */
export interface VerifyConfig {
  readonly url: string;
  /** The statuses that mean that the secret is good. */
  readonly expect: readonly number[];
  /** The statuses that mean that it is not. Any other tells nothing. */
  readonly refused: readonly number[];
  /** Further headers, by their names in lower case. */
  readonly headers: Readonly<Record<string, Secret>>;
}

/** A secret that each user enters, or an operator puts: a key, a personal access token, or user and password. */
export interface SecretConfig {
  /** What users read of it. */
  readonly label: string;
  /** Where users find it. */
  readonly help?: string | undefined;
  /** What users read of the name that goes with it; absent: it is a secret alone. */
  readonly user?: string | undefined;
  /** How long it is kept without use, ms. */
  readonly idleMs: number;
  readonly verify?: VerifyConfig | undefined;
}
