import { Secret } from "../../src/platform/secret.ts";
import type { World } from "./world.ts";

/** The version of the grant that the store holds, or what it holds instead. */
export async function versionOf({ store, key }: World, session?: string): Promise<string> {
  const read = await store.read(key(session));
  return read.kind === "found" ? read.row.version : read.kind;
}

/** Another replica, of which nothing is seen but what it does in the store, takes the lease; what it is told. */
export async function acquireTheirs(
  other: World,
  { session = "alice", leaseMs = 15_000, attempt = "theirs" } = {},
): Promise<string> {
  const seen = await versionOf(other, session);
  return (await other.store.acquire(other.key(session), { attempt, seen, leaseMs, usableMs: 1_000 })).kind;
}

/** It stores what the provider gives for `refreshToken`. */
export async function commitTheirs(
  { endpoint, store, key }: World,
  from: string,
  refreshToken = "refresh-1",
): Promise<void> {
  const answer = endpoint.tokens.refresh(refreshToken);
  if (answer === undefined) throw new Error(`the provider refused ${refreshToken}`);
  const grant = { refreshToken: new Secret(answer.refresh_token), createdAt: 0, refreshedAt: 0 };
  const access = { token: new Secret(answer.access_token), remainingMs: 3_600_000, lifeMs: 3_600_000 };
  await store.commit(key(), from, { version: "theirs", grant, access, life: { ms: 86_400_000, stated: false } });
}
