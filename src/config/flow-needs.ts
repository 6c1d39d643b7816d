import { isJwtSource, isNamed } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";

/** Whether more than grants is kept in the store: accounts are connected, sessions and users named, or 401s healed. */
export function needsFlowStores({ connect, heal, sessions }: Pick<Config, "connect" | "heal" | "sessions">): boolean {
  return connect !== undefined || heal !== undefined || sessions.filter(isJwtSource).some(isNamed);
}
