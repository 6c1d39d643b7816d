import { mutants } from "./mutants.ts";
import { simulate } from "./simulation.ts";
for (const m of mutants) {
  if (process.argv[3] && !m.name.includes(process.argv[3])) continue;
  const rules = new Map<string, number[]>();
  for (let seed = 1; seed <= Number(process.argv[2]); seed++) {
    const { violations } = await simulate(seed, { without: m.without });
    for (const r of new Set(violations.map((v) => v.rule))) rules.set(r, [...(rules.get(r) ?? []), seed]);
  }
  console.log(m.name, m.breaks, [...rules].map(([r, s]) => `${r}: ${s.length} (${s.slice(0, 3)})`).join("; "));
}
