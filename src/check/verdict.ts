import type { Session } from "../sessions/session.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { ClientHelp } from "../tokens/answers.ts";
import type { Reply } from "./reply.ts";
import type { CheckUpstream } from "./upstream.ts";

/** Why a request is not let through: the `reason` of bodies and logs. */
export type DenyReason =
  | "session_missing"
  | "session_invalid"
  | "grant_missing"
  | "grant_refused"
  | "subject_mismatch"
  | "insufficient_scope"
  | "policy_refused"
  | "identity_refused"
  | "no_upstream"
  | "unavailable"
  | "bad_request";

/** What Check decided, before it becomes a message for Envoy. */
export type Verdict =
  | {
      readonly kind: "allow";
      readonly session: Session;
      readonly upstream: CheckUpstream;
      readonly token: AccessToken;
    }
  /** Let through with the tokens of several upstreams, or without some of them. */
  | {
      readonly kind: "allow_several";
      readonly session: Session;
      readonly tokens: readonly UpstreamToken[];
      /** Those whose account is missing: the client's own value of their headers is taken out. */
      readonly omitted: readonly CheckUpstream[];
    }
  /** Let through without a token; the session's credential is removed all the same. */
  | { readonly kind: "passthrough" }
  /** Answered by ourselves: the request was for one of our pages, or its user has to connect an account first. */
  | { readonly kind: "reply"; readonly reply: Reply }
  | Denial;

export interface UpstreamToken {
  readonly upstream: CheckUpstream;
  readonly token: AccessToken;
}

export interface Denial {
  readonly kind: "deny";
  readonly reason: DenyReason;
  /** The upstream's name, where known; of several the one that is decisive. */
  readonly upstream?: string | undefined;
  /** The names of all upstreams of the request, where there are several. */
  readonly upstreams?: readonly string[] | undefined;
  /** The session's hash, where known. */
  readonly session?: string | undefined;
  /** For the log, not for the client. */
  readonly why?: string | undefined;
  /** When to try again, ms; for `unavailable`. */
  readonly retryAfterMs?: number | undefined;
  /** The address where the user connects the missing account. */
  readonly connectUrl?: string | undefined;
  /** What else the client, or its user, can do about it. */
  readonly help?: ClientHelp | undefined;
  /** What the grant lacks and its user can be asked for, separated by spaces; for `insufficient_scope`. */
  readonly scope?: string | undefined;
  /** URL of the resource's own metadata (RFC 9728), in place of the one that `check.resourceMetadata` names. */
  readonly resourceMetadata?: string | undefined;
}

export function deny(reason: DenyReason, details: Omit<Denial, "kind" | "reason"> = {}): Denial {
  return { kind: "deny", reason, ...details };
}
