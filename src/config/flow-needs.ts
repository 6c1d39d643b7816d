import { isLogoutSource } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";

/** Whether more than grants is kept in the store: users connect accounts, or issuers end sessions. */
export function needsFlowStores({ connect, sessions }: Pick<Config, "connect" | "sessions">): boolean {
  return connect !== undefined || sessions.some(isLogoutSource);
}
