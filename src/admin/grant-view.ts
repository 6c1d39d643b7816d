import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import { type GrantKey, isUnreadable } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";

/** What a grant looks like from outside; undefined where nothing is stored. */
export function view(upstream: string, read: ReadResult): proto.Grant | undefined {
  if (read.kind === "absent") return undefined;
  if (read.kind === "revoked")
    return proto.Grant.create({ upstream, version: read.version, state: proto.GrantState.REVOKED });
  const { version, state, why, grant, access, life, failingMs } = read.row;
  return {
    upstream,
    version,
    state: state === "dead" ? proto.GrantState.DEAD : proto.GrantState.ACTIVE,
    why: why ?? "",
    subject: grant.subject ?? "",
    scope: grant.scope ?? "",
    hasRefreshToken: grant.refreshToken !== undefined,
    hasAccessToken: access !== undefined,
    accessTokenExpiresInMs: access?.remainingMs === undefined ? undefined : Math.floor(access.remainingMs),
    expiresInMs: Math.floor(life.ms),
    failingForMs: failingMs === undefined ? undefined : Math.floor(failingMs),
  };
}

/** A grant for a list. One that cannot be read is shown as such, and does not hide the others. */
export async function glance(key: GrantKey, store: Pick<TokenStore, "read">): Promise<proto.Grant | undefined> {
  try {
    return view(key.upstream, await store.read(key));
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return proto.Grant.create({ upstream: key.upstream, state: proto.GrantState.UNREADABLE, why: error.message });
  }
}
