import type { OAuthProviderConfig } from "../../src/providers/oauth-provider.ts";
import type { Resources } from "../support/resources.ts";
import type { RotatingTokensOptions } from "../support/rotating-tokens.ts";
import { until } from "../support/until.ts";
import { startWorld, type World, type WorldOptions } from "./world.ts";

/**
 * Two replicas, the second of which hears nothing from the first but by the store; alice's access token has expired.
 */
export async function startReplicas(
  opened: Resources,
  provider: Partial<OAuthProviderConfig>,
  endpoint: RotatingTokensOptions = {},
  config: { giveUpMs?: number } = {},
): Promise<{ readonly world: World; readonly other: World }> {
  const world = await startWorld(opened, { provider, endpoint, config });
  await world.login("alice", { remainingMs: 0 });
  return { world, other: world.replica() };
}

/** Alice's refresh: the provider has redeemed the token, and holds its answer back until `gate` is released. */
export async function refreshing(opened: Resources, options: WorldOptions = {}) {
  const world = await startWorld(opened, options);
  await world.login("alice", { remainingMs: 0 });
  const gate = world.endpoint.hold();
  const waiting = world.fresh();
  await gate.arrived();
  return { world, gate, waiting };
}

/** Time passes until nobody waits for the call any more, and its lease is given up. */
export async function giveUp({ clock, store }: World, afterMs = 10_000): Promise<void> {
  await clock.advance(afterMs);
  await until("the lease is given up", () => store.calls.release > 0);
}

/**
 * A request whose refresh the provider has got, and answers only when `answer` is called; it redeems the token then.
 */
export async function hang(world: World) {
  const held = Promise.withResolvers<void>();
  world.endpoint.respondNext(async (_, usual) => {
    await held.promise;
    return usual();
  });
  const { calls } = world.endpoint;
  const asked = world.fresh();
  await until("the call", () => world.endpoint.calls === calls + 1);
  return { asked, answer: held.resolve };
}
