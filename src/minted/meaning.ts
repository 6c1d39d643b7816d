import type { RefreshOutcome } from "../providers/outcome.ts";
import type { MintKind } from "./kind.ts";

/** Whom a failure is about: the session's token, what is asked for, our client, or how the provider is. */
export type Meaning = "subject" | "request" | "client" | "provider";

/** Words that are about our client, whoever it asks for (RFC 6749 §5.2). */
const clientWords: ReadonlySet<string> = new Set(["invalid_client", "unauthorized_client", "http_401"]);
/** Words about the subject that a refresh does not know: `invalid_request` is RFC 8693's for a bad token (§2.2.2). */
const subjectWords: ReadonlySet<string> = new Set(["access_denied", "invalid_request"]);

export function meaningOf(
  { kind, why }: Exclude<RefreshOutcome, { readonly kind: "tokens" }>,
  { ofSessions }: Pick<MintKind, "ofSessions">,
): Meaning {
  if (ofSessions && (kind === "refused" || (kind !== "unknown" && subjectWords.has(why)))) return "subject";
  if (kind === "refused") return "client";
  if (kind !== "misconfigured") return "provider";
  return clientWords.has(why) || !ofSessions ? "client" : "request";
}
