/**
 * How a login ended: `connected` with its grant stored, `denied` by the provider or its user, `refused` as another
 * browser, session or user came back with it, `superseded` as something newer was stored meanwhile, `failed` for
 * whatever else, of ours or the provider's.
 */
export type LoginEnding = "connected" | "denied" | "refused" | "superseded" | "failed";

/** Where grants begin. */
export interface LoginMetrics {
  login(upstream: string, ending: LoginEnding): void;
}
