import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pageAt, root } from "./pages.ts";

const { text } = pageAt("docs/architecture.md");

test("docs/architecture.md has every room of src/", () => {
  const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const rooms = folders.map(({ name }) => name).filter((name) => name !== "gen");
  expect(rooms.filter((name) => !text.includes(`| \`src/${name}/\` |`))).toEqual([]);
});

test("docs/architecture.md says of every dependency what it is for", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: object };
  const [section = ""] = /^## Dependencies\n.*?^## /ms.exec(text) ?? [];
  const rows = [...section.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell = ""]) => cell.match(/[^`, ]+/g) ?? []);
  expect(rows.sort()).toEqual(Object.keys(manifest.dependencies).sort());
});
