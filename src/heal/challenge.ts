import { parseChallenges } from "../platform/challenges.ts";

/** What a 401 or 403 says of the token that it answers, by the `error` of its challenges (RFC 6750 §3.1). */
export interface Refusal {
  /** The `error` of each challenge that names one, of whatever scheme. */
  readonly errors: readonly string[];
  /** The scopes that a challenge with `insufficient_scope` names; empty where there are none. */
  readonly scopes: readonly string[];
  /** Whether it leads clients to somebody's authorization server (RFC 9728 §5.1). */
  readonly leadsAway: boolean;
}

/** Reads `WWW-Authenticate`, with several lines joined by a comma. */
export function refusalIn(header: string): Refusal {
  const challenges = parseChallenges(header).map(({ parameters }) => parameters);
  const wider = challenges.filter((parameters) => parameters.get("error") === "insufficient_scope");
  return {
    errors: challenges.flatMap((parameters) => parameters.get("error") ?? []),
    scopes: [...new Set(wider.flatMap((parameters) => parameters.get("scope")?.split(" ") ?? []))].filter(Boolean),
    leadsAway: challenges.some((parameters) => parameters.has("resource_metadata")),
  };
}

/** Whether another token of the same grant may cure a 401: it names no error, or none but `invalid_token`. */
export function speaksOfToken({ errors }: Refusal): boolean {
  return errors.every((error) => error === "invalid_token");
}

/** Whether the grant would have to be wider. */
export function speaksOfScope({ errors }: Refusal): boolean {
  return errors.includes("insufficient_scope");
}
