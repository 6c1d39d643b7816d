import { equalSecrets } from "../platform/digest.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { ConnectContext } from "./context.ts";
import type { FlowOwner, FlowState } from "./states.ts";
import { visitorOf } from "./visitor.ts";

type Needed = Pick<ConnectContext, "sessions" | "ownSessions" | "pageSessions">;

/**
 * Whose grant it becomes; undefined for a newcomer. The browser's session must still be the one that began the login.
 * After a ticket's login the browser has shown that it may act for the ticket's session.
 */
export async function ownerNow(
  input: CheckInput,
  flow: FlowState,
  context: Needed,
): Promise<FlowOwner | undefined | "another" | "unknown"> {
  if (flow.by === "ticket") return flow.owner;
  const visitor = await visitorOf(input, context, flow.by);
  if (visitor.kind === "unknown") return "unknown";
  if (flow.owner === undefined) {
    // A newcomer, who may have got a session meanwhile by connecting something else in another tab of the same
    // browser.
    if (visitor.kind === "newcomer") return undefined;
    return visitor.kind === "session" && visitor.session.source === context.ownSessions?.source
      ? { session: visitor.session.session }
      : "another";
  }
  const { session, subject } = flow.owner;
  const isSame =
    visitor.kind === "session" &&
    equalSecrets(visitor.session.session, session) &&
    visitor.session.owner?.subject === subject;
  return isSame ? flow.owner : "another";
}
