import type { Session } from "../sessions/session.ts";
import type { AccessToken } from "../tokens/access-token.ts";

/**
 * Vouches for what Check decided, in the dynamic metadata that Envoy keeps with the request: this session may have this
 * token of this upstream. Whoever shows it later is believed. Undefined while nothing can be vouched for. It is asked
 * for every request, and keeps what it made with the token.
 *
 * @param isMcp whether the route leads to an MCP server
 */
export type Prove = (session: Session, upstream: string, token: AccessToken, isMcp: boolean) => string | undefined;
