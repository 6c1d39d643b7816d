import { expect, test } from "vitest";
import { keepParts } from "../../src/platform/kept-parts.ts";
import { sameConfig } from "../../src/platform/same-config.ts";
import { Secret } from "../../src/platform/secret.ts";

const config = (secret: string, more: object = {}) => ({
  url: "https://idp.example.com",
  auth: { method: "post", secret: new Secret(secret) },
  parameters: [["scope", "a"]],
  ...more,
});

test.each<[what: string, a: unknown, b: unknown, same: boolean]>([
  ["equal texts, lists and secrets", config("one"), config("one"), true],
  ["another secret", config("one"), config("two"), false],
  ["another item of a list", config("one"), config("one", { parameters: [["scope", "b"]] }), false],
  ["a further item of a list", config("one"), config("one", { parameters: [["scope", "a"], []] }), false],
  ["a further key", config("one"), config("one", { ca: "PEM" }), false],
  ["a key that is undefined", config("one"), config("one", { ca: undefined }), true],
  ["a secret in place of its text", { key: new Secret("one") }, { key: "one" }, false],
  ["a list in place of a mapping", [], {}, false],
  ["nothing in place of a mapping", undefined, {}, false],
])("%s", (_what, a, b, same) => {
  expect([sameConfig(a, b), sameConfig(b, a)]).toEqual([same, same]);
});

test("a part is kept while what it is made of stays the same, and forgotten with it", () => {
  let made = 0;
  const build = (before: ReturnType<typeof keepParts>["parts"], ...secrets: string[]) => {
    const { keep, parts } = keepParts(before);
    return { parts, found: secrets.map((secret, at) => keep(`part ${at}`, config(secret), () => ++made)) };
  };
  const first = build(new Map(), "one", "two");
  expect(first.found).toEqual([1, 2]);
  const second = build(first.parts, "one", "other");
  expect(second.found).toEqual([1, 3]);
  // What was made for a configuration that is not used in the end changes nothing for the next one.
  expect(build(first.parts, "one", "two").found).toEqual([1, 2]);
  expect(build(build(second.parts).parts, "one").found).toEqual([4]);
});
