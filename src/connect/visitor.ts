import type { CheckInput } from "../sessions/check-input.ts";
import type { Session, SessionSource } from "../sessions/session.ts";
import type { FlowOwner } from "./states.ts";

/** Who is at the browser. */
type Visitor =
  | { readonly kind: "session"; readonly session: Session }
  /** Nobody yet, but whoever connects an account gets a session. */
  | { readonly kind: "newcomer" }
  | { readonly kind: "stranger" }
  | { readonly kind: "unknown"; readonly why: string };

/** @param mayBegin there is a source of sessions that we issue */
export async function visitorOf(input: CheckInput, sessions: SessionSource, mayBegin: boolean): Promise<Visitor> {
  const identification = await sessions.identify(input);
  switch (identification.kind) {
    case "identified":
      return { kind: "session", session: identification.session };
    case "missing":
      return { kind: mayBegin ? "newcomer" : "stranger" };
    case "invalid":
      return { kind: "stranger" };
    case "unavailable":
      return { kind: "unknown", why: identification.why };
    default:
      return identification satisfies never;
  }
}

/** What a login's state keeps of a session. */
export function ownerOf({ session, owner }: Session): FlowOwner {
  return { session, ...(owner?.subject === undefined ? {} : { subject: owner.subject }) };
}
