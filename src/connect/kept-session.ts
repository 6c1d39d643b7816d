import { messageOf } from "../platform/error.ts";
import { shortHash } from "../stores/grant.ts";
import { untilStored } from "../tokens/until-stored.ts";
import type { ConnectContext } from "./context.ts";
import type { BegunSession } from "./own-sessions.ts";
import { flowLifeMs } from "./states.ts";

/**
 * A newcomer's session has its grant. Without this the session would end when the time for the login is over. Never
 * rejects.
 */
export async function keepSession(
  { session }: BegunSession,
  { ownSessions, clock, log }: Pick<ConnectContext, "ownSessions" | "clock" | "log">,
): Promise<void> {
  const failed = (reason: unknown) =>
    log.warn(
      { event: "session_not_kept", session: shortHash(session), reason: messageOf(reason) },
      "the lives of a new session could not be stored; it is tried again until the time for the login is over",
    );
  await untilStored(clock, async () => ownSessions?.keep(session), flowLifeMs, failed).catch(() => undefined);
}
