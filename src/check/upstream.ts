/** How an upstream wants its token. */
export interface Injection {
  /** Lower-case header name. */
  readonly header: string;
  /** The header's value, with `{token}` for the token. */
  readonly format: string;
}

/** What check knows of an upstream. */
export interface CheckUpstream {
  readonly name: string;
  readonly inject: Injection;
}
