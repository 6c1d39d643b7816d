import { expect } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { GrantRow } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import type { Resources } from "../support/resources.ts";
import type { RotatingTokensOptions } from "../support/rotating-tokens.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

/**
 * A world whose store can lose what it has acknowledged, as a failover to a replica that lags does: without a word to
 * anybody.
 */
export async function forgetfulWorld(opened: Resources, endpoint: RotatingTokensOptions = {}) {
  const clock = manualClock();
  const shared = createMemoryStore({ clock, maxGrants: 10 });
  const world = await startWorld(opened, { clock, store: shared, endpoint });
  const other = world.replica();
  const key = world.key();

  async function row(): Promise<GrantRow> {
    const read = await shared.read(key);
    if (read.kind !== "found") throw new Error(`the grant is ${read.kind}`);
    return read.row;
  }
  async function silently(change: () => Promise<unknown>): Promise<void> {
    for (const { store } of [world, other]) store.subscription.silent = true;
    await change();
    for (const { store } of [world, other]) store.subscription.silent = false;
  }
  return {
    world,
    other,
    row,
    /** The row stands as it was before. */
    bringBack: ({ version, grant, access, life }: GrantRow) =>
      silently(() => shared.put(key, { version, grant, access, life })),
    /** The session stands ended, as it was. */
    end: (version: string) => silently(() => shared.revoke(key, version)),
    /** Nothing is left of the row. */
    lose: () =>
      silently(() =>
        shared.put(key, { version: "gone", grant: { createdAt: 0, refreshedAt: 0 }, life: { ms: 0, stated: true } }),
      ),
  };
}

/** Refreshed once: what was before, and what is now. */
export async function refreshed(opened: Resources, endpoint: RotatingTokensOptions = {}) {
  const forgetful = await forgetfulWorld(opened, endpoint);
  await forgetful.world.login("alice", { remainingMs: 0 });
  const before = await forgetful.row();
  expect(await forgetful.world.fresh()).toBe("access-2");
  return { ...forgetful, before };
}

/** The refresh tokens presented, oldest first. */
export function presented({ endpoint }: World): readonly (string | undefined)[] {
  return endpoint.requests.map(({ form }) => form.refresh_token);
}

/** Waits until the store holds alice's grant with that refresh token, or in that state. */
export async function untilHeld({ storedRefreshToken }: World, expected: string): Promise<void> {
  await until(`${expected} in the store`, async () => (await storedRefreshToken()) === expected);
}
