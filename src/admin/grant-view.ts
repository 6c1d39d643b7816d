import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import { type GrantKey, isUnreadable } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";
import type { Secrets } from "../tokens/secrets.ts";

/** Where grants are looked at. */
export interface Views {
  readonly store: Pick<TokenStore, "read">;
  readonly secrets: Pick<Secrets, "lastUsedAt">;
}

/** What a grant looks like from outside; undefined where nothing is stored. Throws what the store throws. */
export async function view(key: GrantKey, { store, secrets }: Views): Promise<proto.Grant | undefined> {
  const read = await store.read(key);
  const seen = viewOf(key.upstream, read);
  if (seen === undefined || read.kind !== "found" || !read.row.grant.isSecret) return seen;
  return { ...seen, lastUsedAt: await secrets.lastUsedAt(key, read.row.version) };
}

function viewOf(upstream: string, read: ReadResult): proto.Grant | undefined {
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
    isSecret: grant.isSecret === true,
    lastUsedAt: undefined,
  };
}

/** A grant for a list. One that cannot be read is shown as such, and does not hide the others. */
export async function glance(key: GrantKey, views: Views): Promise<proto.Grant | undefined> {
  try {
    return await view(key, views);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return proto.Grant.create({ upstream: key.upstream, state: proto.GrantState.UNREADABLE, why: error.message });
  }
}
