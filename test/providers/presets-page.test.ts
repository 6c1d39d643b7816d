import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { presetsPage } from "./presets-page.ts";

test("docs/providers.md is what the presets say: run `npm run generate` after a change of one", () => {
  expect(readFileSync(new URL("../../docs/providers.md", import.meta.url), "utf8")).toBe(presetsPage());
});
