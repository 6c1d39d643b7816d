import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, pageAt, root } from "./docs/pages.ts";

const readme = pageAt("README.md");

test("shows the demo and the test command first", () => {
  const commands = blocksOf(readme, "sh")[0]
    ?.text.trim()
    .split("\n")
    .map((line) => line.replace(/ *#.*/, ""));
  expect(commands).toEqual(["npm run demo -- --once", "npm cit"]);
});

test("is read in a few minutes: at most 150 lines", () => {
  expect(readme.text.split("\n").length).toBeLessThanOrEqual(150);
});

test("docs/verdicts.md names every reason a request is kept back for", () => {
  const source = readFileSync(join(root, "src/check/verdict.ts"), "utf8");
  const reasons = [...(/DenyReason =(.*?);/s.exec(source)?.[1] ?? "").matchAll(/"(\w+)"/g)].map(
    ([, reason]) => reason ?? "",
  );
  expect(reasons).toHaveLength(11);
  expect(reasons.filter((reason) => !pageAt("docs/verdicts.md").text.includes(`\`${reason}\``))).toEqual([]);
});
