import { createHistory } from "./history.ts";
import { drawMintPlan, type MintPlan, type MintTrouble } from "./mint-plan.ts";
import type { createMintJudge, MintFigure } from "./mint-rules.ts";
import { createMintWorld, type MintProtections, type MintWorld } from "./mint-world.ts";
import { createRng, type Rng } from "./rng.ts";
import { createSimClock, type SimClock } from "./sim-clock.ts";
import { type Lasting, letCome, waiting } from "./troubles.ts";

/** What one seed led to. */
export interface MintOutcome {
  readonly seed: number;
  readonly violations: ReturnType<typeof createMintJudge>["violations"];
  readonly figures: ReadonlyMap<MintFigure, number>;
  readonly history: () => readonly string[];
}

export interface MintSimulationOptions {
  /** Protections taken away, to show that they are needed. */
  readonly without?: MintProtections;
  /** Changes what the seed chose. */
  readonly adapt?: (plan: MintPlan) => MintPlan;
}

/** After the last fault, until everything has to have come right, and for some time of that. */
const calmMs = 140_000;

/** One history of the minter, all of it drawn from the seed. */
export async function simulateMints(
  seed: number,
  { without = {}, adapt = (plan) => plan }: MintSimulationOptions = {},
): Promise<MintOutcome> {
  const rng = createRng(seed);
  const clock = createSimClock();
  const history = createHistory(clock.now);
  const plan = adapt(drawMintPlan(rng.fork()));
  const world = createMintWorld({ clock, rng: rng.fork(), history, plan, without });
  startWork(world, clock, rng.fork(), plan);
  startTroubles(world, clock, rng.fork(), plan);
  await clock.run(plan.troubledMs);
  world.calmDown();
  await clock.run(plan.troubledMs + calmMs);
  await world.judgeEnd();
  const { violations, figures } = world.judge;
  return { seed, violations, figures, history: history.lines };
}

function startWork(world: MintWorld, clock: SimClock, rng: Rng, { work, troubledMs }: MintPlan): void {
  every(work.askEveryMs, rng.fork(), (chance) => {
    const session = chance.pick(world.sessions);
    const waitMs = chance.pick([200, 3_000, 12_000]);
    const members = world.members();
    const asked = chance.chance(0.3) ? members : members.slice(0, 1).map(() => chance.pick(members));
    for (const member of asked) member.process.deliver(() => world.ask(member, session, waitMs));
  });
  every(work.endEveryMs, rng.fork(), (chance) => world.end(chance.pick(world.sessions)));

  function every(meanMs: number, chance: Rng, task: (chance: Rng) => void): void {
    const delayMs = waiting(chance, meanMs);
    if (!(clock.now() + delayMs < troubledMs + calmMs)) return;
    clock.after(delayMs, () => {
      task(chance);
      every(meanMs, chance, task);
    });
  }
}

function startTroubles(world: MintWorld, clock: SimClock, rng: Rng, plan: MintPlan): void {
  letCome(plan, clock, rng, happen);

  function happen(trouble: MintTrouble, chance: Rng, lasting: Lasting): void {
    const members = world.members();
    const member = members.length > 0 ? chance.pick(members) : undefined;
    const happenings: Readonly<Record<MintTrouble, () => void>> = {
      freeze: () => member?.process.freeze(lasting(20, 20_000)),
      cut: () => member?.link.cut(lasting(500, 30_000)),
      deafen: () => member?.link.deafen(lasting(1_000, 40_000)),
      outage: () => world.store.goDown(lasting(50, 8_000)),
      longOutage: () => world.store.goDown(lasting(30_000, 60_000)),
      failover: () => world.failover(lasting(50, 5_000), chance.pick([50, 1_000, 10_000])),
      providerDown: () => world.providerGoesDown(lasting(1_000, 20_000)),
      everybodyRejected: () => world.rejectEverybody(lasting(5_000, 60_000)),
    };
    happenings[trouble]();
  }
}
