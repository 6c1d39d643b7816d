import type { RefreshOutcome } from "../providers/outcome.ts";
import type { MintKind } from "./kind.ts";

/** Whom a failure is about: the session's token, what is asked for, our client, or how the provider is. */
export type Meaning = "subject" | "request" | "client" | "provider";

/** Words that are about our client, whoever it asks for (RFC 6749 §5.2). */
const clientWords: ReadonlySet<string> = new Set(["invalid_client", "unauthorized_client", "http_401"]);
/** RFC 8693's word for a bad subject token (§2.2.2). */
const invalidRequest = "invalid_request";
/**
 * About the subject too, though no refresh is answered so. Some servers say `invalid_token` of a bad subject token,
 * Keycloak's older exchange among them. Ory Hydra, and what else is built on Fosite, takes each JWT as a grant once:
 * after `jti_known` the client has to bring another one. `insufficient_user_authentication` asks for another login.
 */
const aboutSubjects: ReadonlySet<string> = new Set([
  ...["access_denied", "invalid_token", "jti_known", "insufficient_user_authentication"],
]);

/** What the upstream's `errors` say of an answer wins over what is known of its word here. */
export function meaningOf(
  { kind, why, isStated = false }: Exclude<RefreshOutcome, { readonly kind: "tokens" }>,
  { ofSessions, isExchange }: Pick<MintKind, "ofSessions" | "isExchange">,
): Meaning {
  const isSubjects =
    !isStated && kind !== "unknown" && (aboutSubjects.has(why) || (isExchange && why === invalidRequest));
  if (ofSessions && (kind === "refused" || isSubjects)) return "subject";
  if (kind === "refused") return "client";
  if (kind !== "misconfigured") return "provider";
  return clientWords.has(why) || !ofSessions ? "client" : "request";
}
