import { isLogoutSource } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";

/** Whether more than grants is kept in the store: users connect accounts, issuers end sessions, or 401s are healed. */
export function needsFlowStores({ connect, heal, sessions }: Pick<Config, "connect" | "heal" | "sessions">): boolean {
  return connect !== undefined || heal !== undefined || sessions.some(isLogoutSource);
}
