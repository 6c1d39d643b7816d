import type { Deadline } from "../platform/deadline.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Session } from "../sessions/session.ts";
import type { Denial, Verdict } from "./verdict.ts";

/** What connecting accounts adds to checks. */
export interface ConnectHooks {
  /** Whether the request is for a page of ours. Asked for every request: it compares a few bytes. */
  owns(input: CheckInput): boolean;
  /** Answers such a request, before the deadline. */
  answer(bytes: Uint8Array, deadline: Deadline): Promise<Verdict>;
  /**
   * The denial, with a link to the login that would cure it, or an answer in its place that leads the user to that
   * login. Comes before the deadline.
   *
   * @param session whose request it is, where its credential is no longer in it
   */
  offer(denial: Denial, bytes: Uint8Array, deadline: Deadline, session?: Session): Promise<Verdict>;
}
