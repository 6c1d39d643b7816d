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
   * What of an MCP request its answer depends on, for who answers it when its body is no longer at hand. Undefined where
   * nobody would ask, or where it is too long to be left with the request.
   */
  readonly callOf?: ((input: CheckInput, upstream: string) => string | undefined) | undefined;
  /**
   * The denial, with a link to the login that would cure it, or an answer in its place that leads the user to that
   * login. Comes before the deadline.
   *
   * @param session whose request it is, where its credential is no longer in it
   */
  offer(denial: Denial, bytes: Uint8Array, deadline: Deadline, session?: Session): Promise<Verdict>;
  /** Absent where nobody is asked for more than a login asks for. */
  readonly stepUp?: StepUp | undefined;
}

/** A request that was let through, and that an API has refused for want of a scope. */
export interface ScopeRefused {
  /** The session's hash. */
  readonly session: string;
  readonly upstream: string;
  /** What the API names. */
  readonly scopes: readonly string[];
  /** The session, by the subject of its grant; undefined where the grant is of somebody else. */
  readonly sessionOf: (subject: string | undefined) => Session | undefined;
  /** As Check would see it. */
  readonly bytes: Uint8Array;
}

/**
 * What the client of a refused request is answered in place of the API's 403, so that its user can give the access that
 * is wanting. Undefined where nothing can be asked for, or where it cannot be told: then the 403 is the answer. Comes
 * before the deadline, and never rejects.
 */
export type StepUp = (refused: ScopeRefused, deadline: Deadline) => Promise<Verdict | undefined>;
