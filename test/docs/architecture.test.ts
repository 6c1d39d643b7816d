import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pageAt, root } from "./pages.ts";

const { text } = pageAt("docs/architecture.md");

test("docs/architecture.md has every room of src/", () => {
  const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const rooms = folders.map(({ name }) => name).filter((name) => name !== "gen");
  expect(rooms.filter((name) => !text.includes(`| \`src/${name}/\` |`))).toEqual([]);
});
