import type { Plan, Trouble } from "./plan.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimWorld } from "./sim-world.ts";

/** Draws how long something lasts, ms: not beyond the end of the troubles, after which it would be one itself. */
export type Lasting = (low: number, high: number) => number;

/** Lets each of the plan's troubles happen again and again, at its own pace, until they are over. */
export function letCome<T extends string>(
  plan: { readonly every: Readonly<Record<T, number>>; readonly troubledMs: number },
  clock: SimClock,
  rng: Rng,
  happen: (trouble: T, chance: Rng, lasting: Lasting) => void,
): void {
  for (const trouble of Object.keys(plan.every) as T[]) next(trouble, rng.fork());

  function next(trouble: T, chance: Rng): void {
    const delayMs = waiting(chance, plan.every[trouble]);
    if (!(clock.now() + delayMs < plan.troubledMs)) return;
    clock.after(delayMs, () => {
      const most = plan.troubledMs - clock.now();
      happen(trouble, chance, (low, high) => Math.min(chance.between(low, high), most));
      next(trouble, chance);
    });
  }
}

/** Lets troubles come, each at its own pace, until the plan says that they are over. */
export function startTroubles({
  world,
  clock,
  rng,
  plan,
}: {
  world: SimWorld;
  clock: SimClock;
  rng: Rng;
  plan: Plan;
}): void {
  letCome(plan, clock, rng, happen);

  function happen(trouble: Trouble, chance: Rng, lasting: Lasting): void {
    const members = world.members();
    const member = members.length > 0 ? chance.pick(members) : undefined;
    const happenings: Readonly<Record<Trouble, () => void>> = {
      freeze: () => member?.process.freeze(lasting(20, 6_000)),
      longFreeze: () => member?.process.freeze(lasting(6_000, 45_000)),
      cut: () => member?.link.cut(lasting(500, 40_000)),
      halfOpen: () => member?.link.deafen(),
      outage: () => world.store.goDown(lasting(50, 25_000)),
      storeFreeze: () => world.store.freeze(lasting(100, 25_000)),
      failover: () =>
        world.store.goDown(lasting(50, 12_000), { lostMs: chance.chance(plan.lossy) ? lostMs(chance) : 0 }),
      silentFailover: () =>
        world.store.goDown(lasting(0, plan.silent.downMs), {
          lostMs: chance.chance(plan.silent.lossy) ? lostMs(chance) : 0,
          silently: true,
        }),
      commitsRefused: () => world.refuseCommits(lasting(1_000, 40_000)),
      providerDown: () => world.providerGoesDown(lasting(1_000, 20_000)),
    };
    happenings[trouble]();
  }
}

/** Mostly what replication lags behind; sometimes what nobody should have to bear. */
function lostMs(chance: Rng): number {
  return chance.pick([chance.between(0, 50), chance.between(0, 1_000), chance.between(0, 15_000)]);
}

/** Until the next of what comes every `meanMs` on average, each as if it were the first. */
export function waiting(rng: Rng, meanMs: number): number {
  return -Math.log(1 - rng.next()) * meanMs;
}
