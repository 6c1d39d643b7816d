import { existsSync, globSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { anchorsOf, type Page, pageAt, pages, proseOf, root } from "./pages.ts";

describe.each(pages.map((page) => [page.path, page] as const))("%s", (_, page) => {
  test("links to files and headings that are there", () => {
    expect(linksOf(page).filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });

  test("names files of the repository that are there", () => {
    const named = [...proseOf(page).matchAll(/`((?:src|test|envoy|docs|proto|bin|charts)\/[\w./*-]+)`/g)].map(
      ([, path = ""]) => path,
    );
    expect(named.filter((path) => globSync(path, { cwd: root }).length === 0)).toEqual([]);
  });
});

test("the pages have links", () => {
  expect(pages.flatMap(linksOf).length).toBeGreaterThan(50);
});

test("docs/index.md leads to every page of docs/", () => {
  const linked = linksOf(pageAt("docs/index.md")).map((link) => normalize(join("docs", link.replace(/#.*/, ""))));
  const others = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/") && path !== "docs/index.md");
  expect(others.filter((path) => !linked.includes(path))).toEqual([]);
});

/** Links and images, but for those to other sites. */
function linksOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^https?:/.test(link));
}

function leadsSomewhere({ path }: Page, link: string): boolean {
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? path : normalize(join(dirname(path), file));
  if (!existsSync(join(root, target))) return false;
  return anchor === undefined || anchorsOf(pageAt(target)).has(anchor);
}
