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

/**
 * What became of a 403 that an API answered for want of a scope. `offered`: its user is asked for it. `repeated`: the
 * user was asked lately. `nothing_new`: nothing that the API names may be asked for and is wanting. `unavailable`:
 * something did not answer, or there is no page where the user could be asked.
 */
export type StepUpEnding = "offered" | "repeated" | "nothing_new" | "unavailable";

/** Counts the 403s for want of a scope. */
export interface StepUpMetrics {
  steppedUp(upstream: string, ending: StepUpEnding): void;
}
