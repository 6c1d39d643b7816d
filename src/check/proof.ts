import type { Session } from "../sessions/session.ts";

/** What an allowed request was allowed for. */
export interface Allowed {
  readonly session: Session;
  readonly upstream: string;
  /** The version of the grant whose token it got. */
  readonly version: string;
  /** The grant's subject. */
  readonly subject: string | undefined;
  /** Whether the route leads to an MCP server. */
  readonly isMcp: boolean;
}

/**
 * Vouches for what Check decided, in the dynamic metadata that Envoy keeps with the request: whoever shows it later is
 * believed. Undefined while none can be given.
 */
export type Prove = (allowed: Allowed) => string | undefined;
