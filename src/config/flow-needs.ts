import { needsSubjectToken } from "../minted/config.ts";
import { isJwtSource, isNamed } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";

/**
 * Whether more than grants is kept in the store: accounts are connected, sessions and users named, 401s healed, tokens
 * minted, or the uses of secrets noted.
 */
export function needsFlowStores({
  connect,
  heal,
  sessions,
  upstreams,
}: Pick<Config, "connect" | "heal" | "sessions" | "upstreams">): boolean {
  const isNeeded = Object.values(upstreams).some(({ minted, secret }) => minted !== undefined || secret !== undefined);
  return isNeeded || connect !== undefined || heal !== undefined || sessions.filter(isJwtSource).some(isNamed);
}

/** Whether sessions' own tokens are kept with them, as upstreams' tokens are minted for those. */
export function keepsTokens({ upstreams }: Pick<Config, "upstreams">): boolean {
  return Object.values(upstreams).some(({ minted }) => minted !== undefined && needsSubjectToken(minted));
}
