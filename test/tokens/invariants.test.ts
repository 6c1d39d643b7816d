import fc from "fast-check";
import { expect, test } from "vitest";
import { trackedResources } from "../support/resources.ts";
import { Model, type Mood, type Step } from "./model.ts";
import { startWorld } from "./world.ts";

const moods: readonly Mood[] = ["rotate", "rotate", "omit", "slow", "refuse", "down", "garbage"];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "read" } as const) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("put" as const),
      life: fc.constantFrom("fresh", "fresh", "short", "expired", "bare"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(50, 1_000, 4_000, 25_000, 49_500, 61_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("provider" as const), mood: fc.constantFrom(...moods) }) },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Step>({ do: "release" }, { do: "revoke" }, { do: "store down" }, { do: "store up" }),
  },
);

test("whatever happens in whatever order: no refresh token twice, no token after a logout or of another login, no refusal but the provider's", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const opened = trackedResources();
      try {
        const world = await startWorld(opened, { endpoint: { expiresIn: 60 }, config: { aheadMs: 30_000 } });
        const model = new Model(world);
        for (const next of steps) await model.step(next);
        await model.recover();
        expect([model.violations, world.endpoint.tokens.reuses]).toEqual([[], 0]);
      } finally {
        await opened.stopAll();
      }
    }),
    { numRuns: 150 },
  );
});
