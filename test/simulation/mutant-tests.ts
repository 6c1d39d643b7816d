import { expect, test } from "vitest";

interface Mutant {
  readonly name: string;
  readonly breaks: readonly string[];
}

interface Outcome {
  readonly violations: readonly { readonly rule: string }[];
}

/** Tests that each protection is missed: without it one of its rules is violated within so many seeds. */
export function testMutants<M extends Mutant>(
  mutants: readonly M[],
  most: number,
  simulate: (seed: number, mutant: M) => Promise<Outcome>,
): void {
  test.each(mutants)(
    `objects within ${most} seeds where this is taken away: $name`,
    async (mutant) => {
      const rules = new Set<string>();
      for (let seed = 1; seed <= most && !mutant.breaks.some((rule) => rules.has(rule)); seed++)
        for (const { rule } of (await simulate(seed, mutant)).violations) rules.add(rule);
      expect(
        mutant.breaks.filter((rule) => rules.has(rule)),
        `what was violated: ${[...rules].join(", ")}`,
      ).not.toEqual([]);
    },
    120_000,
  );
}
