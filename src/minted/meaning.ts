import type { RefreshOutcome } from "../providers/outcome.ts";
import type { MintKind } from "./kind.ts";

/** Whom a failure is about: the session's token, what is asked for, our client, or how the provider is. */
export type Meaning = "subject" | "request" | "client" | "provider";

/** Words that are about our client, whoever it asks for (RFC 6749 §5.2). */
const clientWords: ReadonlySet<string> = new Set(["invalid_client", "unauthorized_client", "http_401"]);
/** About the subject too, though no refresh is answered so. */
const accessDenied = "access_denied";
/** RFC 8693's word for a bad subject token (§2.2.2). */
const invalidRequest = "invalid_request";
/** What some servers say of a bad subject token in place of it, Keycloak's older exchange among them. */
const invalidToken = "invalid_token";

/** What the upstream's `errors` say of an answer wins over what is known of its word here. */
export function meaningOf(
  { kind, why, isStated = false }: Exclude<RefreshOutcome, { readonly kind: "tokens" }>,
  { ofSessions, isExchange }: Pick<MintKind, "ofSessions" | "isExchange">,
): Meaning {
  const isSubjects =
    !isStated &&
    kind !== "unknown" &&
    (why === accessDenied || why === invalidToken || (isExchange && why === invalidRequest));
  if (ofSessions && (kind === "refused" || isSubjects)) return "subject";
  if (kind === "refused") return "client";
  if (kind !== "misconfigured") return "provider";
  return clientWords.has(why) || !ofSessions ? "client" : "request";
}
