import { expect, test } from "vitest";
import { foreignText, foreignWord } from "../../src/platform/foreign-text.ts";
import { createLog } from "../../src/platform/log.ts";

test("is one line without control and direction characters, cut where it is too long", () => {
  expect(foreignText("a\r\n\u001b[31mb\u202ec\u2066d\u200be\u2028f\u0085g")).toBe("a [31mbcde f g");
  expect(foreignText("  x\t\ty\n")).toBe("x y");
  expect(foreignText("ä€😀")).toBe("ä€😀");
  expect(foreignText("x".repeat(300))).toBe(`${"x".repeat(200)}…`);
  expect(foreignText("x😀y", 2)).toBe("x…");
  expect(foreignText("\ud800x").isWellFormed()).toBe(true);
});

test("a word is visible ASCII, at most 64 characters", () => {
  expect(foreignWord('in"va\\lid\n\u202e')).toBe("in?va?lid??");
  expect(foreignWord("x".repeat(70))).toHaveLength(64);
});

test("no field of a log line holds such characters, whoever wrote it", () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "json" }, { write: (line) => void lines.push(line) });
  log.warn({ event: "x", reason: "a\u001b]0;evil\u0007\nb\u202e", count: 3, list: ["a"] }, "words");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    event: "x",
    reason: "a ]0;evil b",
    count: 3,
    list: ["a"],
    msg: "words",
  });
});
