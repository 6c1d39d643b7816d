/**
 * How a login ended. `connected`: its grant is stored. `denied`: the provider or its user said no. `refused`: another
 * browser, session or user came back with it. `superseded`: something newer was stored meanwhile. `failed`: anything
 * else that went wrong, here or at the provider.
 */
export type LoginEnding = "connected" | "denied" | "refused" | "superseded" | "failed";

/** Counts the logins of users who connect accounts. */
export interface LoginMetrics {
  login(upstream: string, ending: LoginEnding): void;
}
