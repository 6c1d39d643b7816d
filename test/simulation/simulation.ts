import { createHistory } from "./history.ts";
import type { Figure, Violation } from "./judge.ts";
import { drawPlan, type Plan } from "./plan.ts";
import { createRng } from "./rng.ts";
import { createSimClock } from "./sim-clock.ts";
import { createSimWorld, type Protections } from "./sim-world.ts";
import { startTroubles } from "./troubles.ts";
import { startWork } from "./work.ts";

/** What one seed led to. */
export interface Outcome {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly figures: ReadonlyMap<Figure, number>;
  /** All that happened, a line each. */
  readonly history: () => readonly string[];
}

export interface SimulationOptions {
  /** Protections taken away, to show that they are needed. */
  readonly without?: Protections;
  /** Changes what the seed chose. */
  readonly adapt?: (plan: Plan) => Plan;
  /** In place of the plan's chance: asked at each step of a process. */
  readonly crashChance?: () => number;
}

/** After the last fault, until everything has to have come right: longer than any lease, response and outage. */
const calmMs = 100_000;

/** One history, all of it drawn from the seed. */
export async function simulate(
  seed: number,
  { without = {}, adapt = (plan) => plan, crashChance }: SimulationOptions = {},
): Promise<Outcome> {
  const rng = createRng(seed);
  const clock = createSimClock();
  const history = createHistory(clock.now);
  const plan = adapt(drawPlan(rng.fork()));
  const world = createSimWorld({
    clock,
    rng: rng.fork(),
    apiRng: createRng(seed + 1_000_000_007),
    history,
    plan,
    without,
    crashChance: crashChance ?? (() => plan.crash),
  });
  startWork({ world, clock, rng: rng.fork(), plan, untilMs: plan.troubledMs + calmMs });
  startTroubles({ world, clock, rng: rng.fork(), plan });
  await clock.run(plan.troubledMs);
  world.calmDown();
  await clock.run(plan.troubledMs + calmMs);
  await world.judgeEnd();
  return { seed, violations: world.verdict.violations, figures: world.verdict.figures, history: history.lines };
}
