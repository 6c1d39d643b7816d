/** Cures an API's 401 in the same request. Durations in ms. */
export interface HealConfig {
  /** Every message of Envoy's ext_proc filters is answered within this. */
  readonly deadlineMs: number;
}
