import { expect, test } from "vitest";
import { pages, proseOf } from "./pages.ts";
import { wrapped } from "./wrapped.ts";

test.each(pages.map((page) => [page.path, page] as const))("the lines of %s end at 120 columns", (_, page) => {
  const prose = proseOf(page)
    .split("\n")
    .filter((line) => !/^\s*\||^#|https?:\/\/\S{60}|^!\[/.test(line));
  expect(prose.filter((line) => line.length > 120)).toEqual([]);
});

test("a paragraph is broken between words, as late as can be", () => {
  const word = "x".repeat(59);
  expect(wrapped(`- ${word} ${word} ${word}y`, "  ")).toBe(`- ${word}\n  ${word}\n  ${word}y`);
  expect(wrapped(`${word}x ${word} end`)).toBe(`${word}x ${word}\nend`);
});
