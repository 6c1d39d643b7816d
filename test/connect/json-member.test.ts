import fc from "fast-check";
import { expect, test } from "vitest";
import { memberText } from "../../src/connect/json-member.ts";

test.each([
  ['{"id":1}', "1"],
  ['{"id":12345678901234567890123}', "12345678901234567890123"],
  ['{"id":1e2,"a":1}', "1e2"],
  ['{"id":-0.0}', "-0.0"],
  ['{ "jsonrpc" : "2.0" , "id" :\t"a\\u0062\\"},c" }', '"a\\u0062\\"},c"'],
  ['{"params":{"id":7,"x":[{"id":8}]},"id":9}', "9"],
  ['{"id":9,"params":{"id":7,"x":["id",":",{"id":8}]}}', "9"],
  ['{"\\u0069d":5}', "5"],
  ['{"id":1,"id":2}', "2"],
  ['{"id":1,"id":[2]}', undefined],
  ['{"id":{"id":1}}', undefined],
  ['{"a":"id"}', undefined],
  ["{}", undefined],
])("finds the member as it is written: %s", (json, expected) => {
  expect(memberText(json, "id")).toBe(expected);
});

test("finds what JSON.parse finds, in any object", () => {
  const object = fc.dictionary(fc.oneof(fc.constant("id"), fc.string()), fc.jsonValue());
  fc.assert(
    fc.property(object, fc.constantFrom(undefined, 1, 2), (value, indent) => {
      const text = memberText(JSON.stringify(value, null, indent), "id");
      const id = Object.hasOwn(value, "id") ? value.id : undefined;
      const isPlain = id !== undefined && (typeof id !== "object" || id === null);
      expect(text === undefined ? undefined : JSON.parse(text)).toEqual(
        isPlain ? JSON.parse(JSON.stringify(id)) : undefined,
      );
    }),
  );
});
