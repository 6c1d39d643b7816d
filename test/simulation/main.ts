import { simulate } from "./simulation.ts";

const from = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 100);
const print = process.argv[4] === "print";
const total = new Map<string, number>();
let failing = 0;
const rules = new Map<string, number[]>();
const began = performance.now();
for (let seed = from; seed < from + count; seed++) {
  const { violations, figures, history } = await simulate(seed);
  for (const [figure, value] of figures) total.set(figure, (total.get(figure) ?? 0) + value);
  if (violations.length > 0) {
    failing++;
    const rule = violations[0]!.rule;
    rules.set(rule, [...(rules.get(rule) ?? []), seed]);
  }
  if (print) for (const line of history()) console.log(line);
}
console.log(Object.fromEntries(total));
console.log("failing", failing, "ms per seed", (performance.now() - began) / count);
for (const [rule, seeds] of rules) console.log(rule, seeds.length, seeds.slice(0, 8).join(" "));
