import type { CheckInput } from "../sessions/check-input.ts";
import type { Session } from "../sessions/session.ts";
import type { ConnectContext } from "./context.ts";
import type { PageSession } from "./page-sessions.ts";
import type { FlowOwner } from "./states.ts";

/** Who is at the browser. */
export type Visitor =
  /** `page`: who logged in on our pages. Otherwise the request carries a session of a source. */
  | { readonly kind: "session"; readonly session: Session; readonly page?: PageSession }
  /** Nobody yet, but whoever connects an account gets a session. */
  | { readonly kind: "newcomer" }
  | { readonly kind: "stranger" }
  | { readonly kind: "unknown"; readonly why: string };

/**
 * What counts: `session` is the session that the request carries, as at an API. `page` is a login on our pages.
 * `latest` is the login where there is one, as the user asked for it last, and the session otherwise.
 */
type By = "session" | "page" | "latest";

export async function visitorOf(
  input: CheckInput,
  { sessions, ownSessions, pageSessions }: Pick<ConnectContext, "sessions" | "ownSessions" | "pageSessions">,
  by: By,
): Promise<Visitor> {
  const page = by === "session" ? undefined : await pageSessions?.at(input);
  if (page !== undefined) return { kind: "session", session: page.session, page };
  if (by === "page") return { kind: "stranger" };
  const identification = await sessions.identify(input);
  switch (identification.kind) {
    case "identified":
      return { kind: "session", session: identification.session };
    case "missing":
      return { kind: ownSessions === undefined ? "stranger" : "newcomer" };
    case "invalid":
      return { kind: "stranger" };
    case "unavailable":
      return { kind: "unknown", why: identification.why };
    default:
      return identification satisfies never;
  }
}

/** What a login's state keeps of a session. */
export function ownerOf({ session, source, owner }: Session): FlowOwner {
  return { session, source, ...(owner?.subject === undefined ? {} : { subject: owner.subject }) };
}
