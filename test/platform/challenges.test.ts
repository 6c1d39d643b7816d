import { expect, test } from "vitest";
import { parseChallenges } from "../../src/platform/challenges.ts";

const read = (field: string) =>
  parseChallenges(field).map(({ scheme, parameters }) => ({ [scheme]: Object.fromEntries(parameters) }));

test.each([
  ["", []],
  ["Bearer", [{ bearer: {} }]],
  ['BEARER Realm="a", error = x', [{ bearer: { realm: "a", error: "x" } }]],
  [
    'Basic, Bearer scope="a b",resource_metadata="https://x/y"',
    [{ basic: {} }, { bearer: { scope: "a b", resource_metadata: "https://x/y" } }],
  ],
  ['Negotiate YWJj==, Bearer scope="x"', [{ negotiate: {} }, { bearer: { scope: "x" } }]],
  [
    'Bearer realm="a, Basic scope=\\"evil\\"", scope=good',
    [{ bearer: { realm: 'a, Basic scope="evil"', scope: "good" } }],
  ],
  ["Bearer scope=a, scope=b", [{ bearer: { scope: "a" } }]],
  [',, Bearer ,scope="a",, ', [{ bearer: { scope: "a" } }]],
  ['Bearer scope="never ends, Basic realm="x"', [{ bearer: {} }]],
  ['"Bearer" scope=x', []],
  ["Bearer a=https://x/y?z=1, Basic", [{ bearer: { a: "https://x/y?z=1" } }, { basic: {} }]],
  ['Bearer a="x"y, Basic', [{ bearer: {} }, { basic: {} }]],
  ['Bearer realm="a" error="b" scope=c', [{ bearer: { realm: "a", error: "b", scope: "c" } }]],
  ['error="a", Bearer scope="b"', [{ "": { error: "a" } }, { bearer: { scope: "b" } }]],
  ['Bearer @a, error="b", "Digest", c="d"', [{ bearer: { error: "b", c: "d" } }]],
  ['Bearer a=, error="b"', [{ bearer: { error: "b" } }]],
  ['Bearer error="a" Digest realm="b"', [{ bearer: { error: "a" } }]],
])("%s", (field, expected) => {
  expect(read(field)).toEqual(expected);
});

test("takes no longer for what is made to be slow", () => {
  const startedAt = performance.now();
  for (const piece of ["a ", "a", 'a="\\', 'a="\\",', "a=a ", "a=a", ", ", 'x="', "= ", '"', '\\"', "a,", "a =", "\t"])
    parseChallenges(piece.repeat(30_000));
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
